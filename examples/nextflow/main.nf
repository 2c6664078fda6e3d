// nextflow run main.nf --scans 'scans/*.nii.gz' --text report.txt
// --text takes a report file or a prompt.
// One task a scan. For thousands of small scans, share a sample sheet out by --shard instead.
params.scans = 'scans/*.nii.gz'
params.text = 'left hippocampus and both thalami'
params.outdir = 'results'

process SEGMENT {
    tag "${meta.id}"
    cpus 2
    memory '6 GB'
    publishDir params.outdir, mode: 'copy'
    // 3: this scan is missing or refused, so go on without it. 143: stopped by the scheduler.
    errorStrategy { task.exitStatus == 143 && task.attempt < 3 ? 'retry' : task.exitStatus == 3 ? 'ignore' : 'terminate' }
    maxRetries 2

    input:
    tuple val(meta), path(scan)
    path text

    output:
    tuple val(meta), path("${meta.id}"), emit: results
    tuple val("${task.process}"), val('mmtool'), eval("mmtool --version | cut -d ' ' -f 2"), topic: versions

    script:
    """
    mmtool segment ${scan} --text ${text} -o ${meta.id} --threads ${task.cpus} ${task.ext.args ?: ''}
    """

    stub:
    """
    mkdir ${meta.id}
    touch ${meta.id}/segmentation.nii.gz ${meta.id}/labels.tsv ${meta.id}/measurements.tsv ${meta.id}/run.json
    """
}

workflow {
    scans = Channel.fromPath(params.scans, checkIfExists: true)
        .map { scan -> tuple([id: scan.simpleName], scan) }
    // A file in either case, so that it is staged and no quotation mark breaks the script.
    text = file(params.text).exists()
        ? file(params.text)
        : Channel.of(params.text).collectFile(name: 'prompt.txt').first()
    SEGMENT(scans, text)
}
