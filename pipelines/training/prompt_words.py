"""Words of the prompts that a text-conditioned network is trained on: names, templates, sentences.

Each list is cut in two. ``train`` words are drawn in training; ``unseen`` words never are, so that
a check on them tells whether a network understands or remembers. A name is ``singular/plural``.
"""

from __future__ import annotations

# Concept of models/text -> (names of the split "train", names of the split "unseen").
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hippocampus": (
        ("hippocampus/hippocampi", "hippocampal formation/hippocampal formations",
         "hippo/hippos", "hippocampal complex/hippocampal complexes"),
        ("ammon's horn/ammon's horns", "cornu ammonis/cornu ammonis", "hipp/hipp"),
    ),
    "amygdala": (
        ("amygdala/amygdalae", "amygdaloid nucleus/amygdaloid nuclei",
         "amygdaloid complex/amygdaloid complexes"),
        ("corpus amygdaloideum/corpora amygdaloidea", "amyg/amyg",
         "amygdaloid body/amygdaloid bodies"),
    ),
    "thalamus": (
        ("thalamus/thalami", "thalamus proper/thalami proper",
         "thalamic nucleus/thalamic nuclei", "thalamic gray matter/thalamic gray matter"),
        ("thal/thal", "optic thalamus/optic thalami", "dorsal thalamus/dorsal thalami"),
    ),
    "caudate": (
        ("caudate/caudates", "caudate nucleus/caudate nuclei", "caudate head/caudate heads"),
        ("nucleus caudatus/nuclei caudati", "caud/caud", "caudatum/caudata"),
    ),
    "putamen": (
        ("putamen/putamina", "putamen/putamens", "putaminal nucleus/putaminal nuclei",
         "putaminal gray matter/putaminal gray matter"),
        ("putam/putam", "nucleus putamen/nuclei putamen",
         "putaminal body/putaminal bodies"),
    ),
    "pallidum": (
        ("pallidum/pallida", "globus pallidus/globi pallidi",
         "pallidal nucleus/pallidal nuclei"),
        ("paleostriatum/paleostriata", "pallidal complex/pallidal complexes",
         "dorsal pallidum/dorsal pallida"),
    ),
    "nucleus accumbens": (
        ("nucleus accumbens/nuclei accumbentes", "accumbens/accumbens", "NAc/NAc",
         "accumbens area/accumbens areas"),
        ("NAcc/NAcc", "accumbens nucleus/accumbens nuclei",
         "ventral striatum/ventral striata"),
    ),
    "ventral diencephalon": (
        ("ventral diencephalon/ventral diencephala", "ventral DC/ventral DC",
         "ventral diencephalic area/ventral diencephalic areas"),
        ("VDC/VDC", "basal diencephalon/basal diencephala",
         "inferior diencephalon/inferior diencephala"),
    ),
    "lateral ventricle": (
        ("lateral ventricle/lateral ventricles", "lat ventricle/lat ventricles",
         "lateral cerebral ventricle/lateral cerebral ventricles"),
        ("ventriculus lateralis/ventriculi laterales", "lat vent/lat vents",
         "telencephalic ventricle/telencephalic ventricles"),
    ),
    "temporal horn": (
        ("temporal horn/temporal horns", "inferior lateral ventricle/inferior lateral ventricles",
         "temporal horn of the lateral ventricle/temporal horns of the lateral ventricles"),
        ("inferior horn/inferior horns", "cornu temporale/cornua temporalia",
         "inferior horn of the lateral ventricle/inferior horns of the lateral ventricles"),
    ),
    "cerebellar white matter": (
        ("cerebellar white matter/cerebellar white matter",
         "cerebellum white matter/cerebellum white matter", "cerebellar WM/cerebellar WM",
         "white matter of the cerebellum/white matter of the cerebellum"),
        ("arbor vitae/arbores vitae", "corpus medullare/corpora medullaria",
         "cerebellar white substance/cerebellar white substance"),
    ),
    "cerebellar cortex": (
        ("cerebellar cortex/cerebellar cortices", "cerebellum cortex/cerebellum cortices",
         "cerebellar gray matter/cerebellar gray matter",
         "cortex of the cerebellum/cortices of the cerebellum"),
        ("cerebellar GM/cerebellar GM", "cortex cerebelli/cortices cerebelli",
         "cerebellar folium/cerebellar folia"),
    ),
    "cerebral white matter": (
        ("cerebral white matter/cerebral white matter", "white matter/white matter", "WM/WM",
         "periventricular white matter/periventricular white matter"),
        ("white substance/white substance", "subcortical white matter/subcortical white matter",
         "hemispheric white matter/hemispheric white matter"),
    ),
    "cerebral cortex": (
        ("cerebral cortex/cerebral cortices", "cortex/cortices",
         "cortical ribbon/cortical ribbons", "cortical gray matter/cortical gray matter"),
        ("neocortex/neocortices", "cortical mantle/cortical mantles",
         "pallial mantle/pallial mantles"),
    ),
    "third ventricle": (
        ("third ventricle/third ventricle", "3rd ventricle/3rd ventricle",
         "third cerebral ventricle/third cerebral ventricle"),
        ("ventriculus tertius/ventriculus tertius", "III ventricle/III ventricle",
         "diencephalic ventricle/diencephalic ventricle"),
    ),
    "fourth ventricle": (
        ("fourth ventricle/fourth ventricle", "4th ventricle/4th ventricle",
         "fourth cerebral ventricle/fourth cerebral ventricle"),
        ("ventriculus quartus/ventriculus quartus", "IV ventricle/IV ventricle",
         "rhombencephalic ventricle/rhombencephalic ventricle"),
    ),
    "brainstem": (
        ("brainstem/brainstem", "brain stem/brain stem", "brain-stem/brain-stem"),
        ("truncus encephali/truncus encephali", "encephalic trunk/encephalic trunk",
         "stem of the brain/stem of the brain"),
    ),
    "cerebrospinal fluid": (
        ("CSF/CSF", "cerebrospinal fluid/cerebrospinal fluid", "CSF space/CSF spaces"),
        ("liquor/liquor", "subarachnoid space/subarachnoid spaces",
         "cerebro-spinal fluid/cerebro-spinal fluid"),
    ),
    "brain": (
        ("brain/brain", "whole brain/whole brain", "brain parenchyma/brain parenchyma"),
        ("encephalon/encephalon", "brain tissue/brain tissue",
         "cerebral parenchyma/cerebral parenchyma"),
    ),
}  # fmt: skip

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ventricles": (
        ("ventricles/ventricles", "cerebral ventricles/cerebral ventricles"),
        ("ventricular system/ventricular system",
         "ventricular cavities/ventricular cavities"),
    ),
    "cerebellum": (
        ("cerebellum/cerebellum", "cerebellar hemisphere/cerebellar hemispheres"),
        ("little brain/little brain", "hemisphere of the cerebellum/hemispheres of the cerebellum"),
    ),
    "basal ganglia": (
        ("basal ganglia/basal ganglia", "basal ganglion/basal ganglia"),
        ("basal nuclei/basal nuclei", "nuclei basales/nuclei basales"),
    ),
    "striatum": (
        ("striatum/striata", "corpus striatum/corpora striata"),
        ("neostriatum/neostriata",),
    ),
    "lentiform nucleus": (
        ("lentiform nucleus/lentiform nuclei",),
        ("lenticular nucleus/lenticular nuclei",),
    ),
    "deep gray matter": (
        ("deep gray matter/deep gray matter", "deep grey nuclei/deep grey nuclei"),
        ("subcortical gray matter/subcortical gray matter",
         "subcortical nuclei/subcortical nuclei"),
    ),
    "limbic structures": (
        ("limbic structures/limbic structures", "limbic system/limbic system"),
        ("limbic lobe/limbic lobes", "limbic complex/limbic complexes"),
    ),
    "gray matter": (
        ("gray matter/gray matter", "grey matter/grey matter"),
        ("gray substance/gray substance", "GM/GM"),
    ),
    "cerebrum": (
        ("cerebrum/cerebra", "cerebral hemisphere/cerebral hemispheres"),
        ("supratentorial brain/supratentorial brain", "telencephalon/telencephala"),
    ),
}  # fmt: skip

# Adjectives of a finding ("hippocampal atrophy"): in training only.
ADJECTIVES = {
    "hippocampus": "hippocampal", "amygdala": "amygdalar", "thalamus": "thalamic",
    "caudate": "caudate", "putamen": "putaminal", "pallidum": "pallidal",
    "cerebral cortex": "cortical",
}  # fmt: skip
ADJECTIVE_FINDINGS = ("atrophy", "volume loss", "hyperintensity", "infarct", "lesion")

# Parts of the head and body that no label of the brain table stands for.
ELSEWHERE = (
    ("liver", "left kidney", "right kidney", "spleen", "both lungs", "heart", "pancreas", "aorta",
     "stomach", "corpus callosum", "pituitary gland", "left frontal lobe", "temporal lobe",
     "optic nerve", "skull", "spinal cord", "internal capsule", "pons", "left eye", "meningioma",
     "corona radiata", "midbrain", "left femur", "bladder"),
    ("gallbladder", "prostate", "right hip", "vertebra", "carotid artery", "fornix",
     "hypothalamus", "pineal gland", "left parietal lobe", "occipital lobe", "insula",
     "medulla oblongata", "scalp", "mastoid", "cerebellar vermis", "optic chiasm", "falx",
     "maxillary sinus", "abscess", "aneurysm"),
)  # fmt: skip
NOTHING = (
    ("", " ", ".", "?", "please", "segment", "hello", "n/a", "the scan", "thank you",
     "segment this image please", "anything", "1", "left", "the right side"),
    ("-", "...", "ok", "none", "lorem ipsum", "delineate", "good morning", "tbd", "\n", "0",
     "kindly process the dataset", "right"),
)  # fmt: skip
EVERYTHING = (
    ("everything", "all structures", "all labels", "all brain structures"),
    ("every structure", "all of it", "each structure"),
)

# One side, both sides. {s} singular, {p} plural, {o} left or right, {O} L or R, {q} the other.
ONE_SIDE = (
    ("{o} {s}", "{o} {s}", "the {o} {s}", "{O} {s}", "{o}-sided {s}",
     "{s} ({o})", "{s} on the {o}"),
    ("{T}. {s}", "{s}, {o}", "{s} {O}", "{s} of the {o} hemisphere", "{o} side {s}",
     "the {s} ({O})"),
)  # fmt: skip
BOTH_SIDES = (
    ("both {p}", "bilateral {p}", "the left and right {s}", "left and right {s}",
     "{p} on both sides", "{p} bilaterally", "right and left {s}"),
    ("{p} (left and right)", "the {p} of both sides", "either {s}", "L and R {s}",
     "left as well as right {s}", "the paired {p}", "left/right {s}"),
)  # fmt: skip

ASK = (
    ("{x}", "{x}", "{x}", "segment {x}", "please segment {x}", "Segment {x}.", "show {x}",
     "show me {x}, please", "find {x}", "I want {x}", "I need a mask of {x}", "outline {x}",
     "mark {x}", "mask of {x}", "label {x} in this scan", "volume of {x}", "measure {x}",
     "can you segment {x}?", "segmentation of {x}", "give me {x}", "only {x}",
     "I would like to see {x}", "draw {x}", "{x} please", "where is {x}?"),
    ("delineate {x}", "contour {x}", "extract {x}", "trace {x}", "highlight {x}",
     "kindly isolate {x}", "could you produce a contour for {x}?", "ROI: {x}", "target: {x}",
     "just {x}", "we are interested in {x}", "the region of interest is {x}",
     "compute the size of {x}", "annotate {x} for me", "my area of interest comprises {x}"),
)  # fmt: skip
EXCEPT = (
    ("{g} except {x}", "{g} except for {x}", "{g} without {x}", "{g} but not {x}",
     "{g} minus {x}", "segment {g}, but not {x}", "please show {g} but no {x}",
     "segment {g}. {X} {x_is} not to be segmented."),
    ("{g} excluding {x}", "{g} apart from {x}", "{g} other than {x}", "{g}, leave out {x}",
     "{g}; ignore {x}", "{g} omitting {x}", "{g} save for {x}", "extract {g} and skip {x}",
     "delineate {g}. Do not include {x}."),
)  # fmt: skip
OTHER_SIDE = (
    ("both {p} except the {o} one", "both {p} but not the {o} one", "{p} except the {o}"),
    ("both {p}, excluding the {o} one", "both {p} apart from the {o}"),
)
LIST = (
    ((", ", " and "), (", ", ", and "), (", ", ", "), (" and ", " and "), ("; ", "; "),
     ("\n", "\n")),
    ((" / ", " / "), (" plus ", " plus "), (", ", " as well as "), ("\n- ", "\n- "),
     (" together with ", " and ")),
)  # fmt: skip

# Sentences of reports. {a}, {b}: changed; {n}, {m}: normal; {z}: gone; {y}: named to compare.
# A capital starts the sentence; "_is", "_has", "_s" agree in number; "0" drops the article.
CHANGED = (
    ("Atrophy of {a}.", "There is atrophy of {a}.", "{A} {a_is} atrophic.",
     "T2 hyperintensity in {a}.", "Small lesion in {a}.", "{A} {a_is} enlarged.",
     "Infarct in {a}.", "There is an old infarct of {a}.", "Volume loss of {a}.",
     "{A} {a_is} smaller than expected.", "Signal change in {a} and {b}.",
     "{A} and {b} are small.", "Mass in {a}.", "Abnormal signal of {a}.",
     "{A} show{a_s} a lesion.", "Possible lesion in {a}.",
     "The lesion of {a} is isointense to {y}."),
    ("Gliosis involving {a}.", "Encephalomalacia affecting {a}.",
     "Restricted diffusion is seen within {a}.", "{A} demonstrate{a_s} reduced volume.",
     "Haemorrhage centred on {a}.", "Findings are suspicious for a metastasis in {a}.",
     "Marked shrinkage of {a} is noted.", "{A} {a_is} diffusely bright on FLAIR.",
     "A cyst compresses {a}.", "Oedema surrounds {a}.",
     "Swelling of {a}, and likewise of {b}.", "An abscess of {a} cannot be excluded.",
     "Gliosis of {a} compared with {y}."),
)  # fmt: skip
NORMAL = (
    ("{N} {n_is} normal.", "{N} {n_is} unremarkable.", "No abnormality of {n}.",
     "No lesion in {n}.", "Normal {n0}.", "{N} {n_is} not enlarged.",
     "There is no atrophy of {n}.", "No atrophy of {n} or {m}.", "Unremarkable {n0}.",
     "{N} and {m} are normal.", "Without infarct in {n}."),
    ("{N} {n_is} within normal limits.", "{N} {n_is} intact.", "{N} {n_is} preserved.",
     "{N} {n_is} free of disease.", "Negative for gliosis in {n}.",
     "Absence of haemorrhage in {n}.", "{N} {n_is} spared.", "No evidence of oedema in {n}.",
     "{N} {n_is} age-appropriate.", "Neither {n} nor {m} is affected.", "Intact {n0}."),
)  # fmt: skip
CHANGED_AND_NORMAL = (
    ("Infarct in {a} with sparing of {n}.", "{A} {a_is} small, but {n} {n_is} normal.",
     "Lesion in {a}, no lesion in {n}.", "{A} {a_is} enlarged; {n} {n_is} unremarkable.",
     "Atrophy of {a} without atrophy of {n}.", "Normal {n0} and a lesion in {a}."),
    ("Haemorrhage in {a}; {n} {n_is} uninvolved.",
     "{A} {a_is} swollen, whereas {n} {n_is} intact.",
     "Gliosis in {a} although {n} {n_is} preserved.",
     "{N} {n_is} within normal limits, while {a} {a_is} shrunken."),
)  # fmt: skip
GONE = (
    ("{Z} {z_is} absent.", "{Z} {z_has} been resected.", "Status post resection of {z}."),
    ("{Z} {z_is} missing.", "Agenesis of {z}.", "{Z} {z_has} been removed."),
)
GROUP_BUT = (
    ("{G} {g_is} enlarged except {n}, which {n_is} normal.",
     "{G} {g_is} small except for {n}, which {n_is} unremarkable."),
    ("{G} {g_is} swollen apart from {n}, which {n_is} intact.",),
)  # fmt: skip
# Under a heading that doesn't describe this image; {h} is a structure.
HISTORY = (
    ("HISTORY: Stroke of {h}.", "CLINICAL HISTORY: Known lesion of {h}.",
     "INDICATION: Atrophy of {h}?"),
    ("REASON FOR EXAM: Follow-up of a bleed in {h}.", "COMPARISON: Prior scan with gliosis of {h}.",
     "CLINICAL INFORMATION: Suspected tumour of {h}."),
)  # fmt: skip
BACKGROUND = (
    ("TECHNIQUE: Axial T1 and T2 images.", "HISTORY: Memory complaints.",
     "INDICATION: Headache for two weeks.", "COMPARISON: None."),
    ("PROTOCOL: Sagittal MPRAGE at 3 T.", "CLINICAL DETAILS: Seizures since childhood.",
     "EXAM: MRI of the head with contrast."),
)  # fmt: skip
ASKING = (("FINDINGS:", "IMPRESSION:"), ("CONCLUSION:", "OPINION:", "RESULT:"))
CHATTER = (
    ("72-year-old woman with memory complaints.", "The patient has had headaches for two weeks.",
     "Images were acquired at 1.5 T.", "Axial T1 and T2 images were obtained.",
     "No prior scan is available.", "Contrast was not given.", "Image quality is good.",
     "Clinical follow-up is suggested.", "The study is limited by motion.",
     "Thank you for the referral.", "Slice thickness is 1 mm."),
    ("Male, 45 y, first seizure.", "She fell off a horse in spring.",
     "Sagittal MPRAGE with isotropic voxels.", "Gadolinium was administered intravenously.",
     "Discussed with the ward by phone.", "There are no earlier examinations.",
     "Blood pressure was high on admission.", "Repeat imaging in six months is advised.",
     "Artefacts from dental work are present."),
)  # fmt: skip
