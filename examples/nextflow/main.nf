// nextflow run main.nf --scans 'scans/*.nii.gz' --text report.txt
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

    output:
    tuple val(meta), path("${meta.id}"), emit: results
    tuple val("${task.process}"), val('mmtool'), eval("mmtool --version | cut -d ' ' -f 2"), topic: versions

    script:
    """
    mmtool segment ${scan} --text '${params.text}' -o ${meta.id} --threads ${task.cpus} ${task.ext.args ?: ''}
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
    SEGMENT(scans)
}
