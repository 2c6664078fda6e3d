"""What training prompts call the structures of the head, and what no label stands for.

Each list is cut in three. ``train`` words are drawn in training; ``unseen`` words never are, so
that a check on them tells whether a network understands or remembers; ``dev`` words never are
either, and choices about training are made by them. A name is ``singular/plural``; one without a
stroke is both.
"""

from __future__ import annotations

Names = dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]

# Concept of models/text -> names of the splits "train", "unseen", "dev".
NAMES: Names = {
    "hippocampus": (
        ("hippocampus/hippocampi", "hippocampus/hippocampi",
         "hippocampal formation/hippocampal formations", "hippo/hippos",
         "hippocampal complex/hippocampal complexes", "hippocampal region/hippocampal regions",
         "hippocampus proper/hippocampi proper", "hippocampal gray matter"),
        ("ammon's horn/ammon's horns", "cornu ammonis/cornu ammonis", "hipp/hipp"),
        ("hippocampal tissue", "hippocampal structure/hippocampal structures"),
    ),
    "amygdala": (
        ("amygdala/amygdalae", "amygdala/amygdalas", "amygdaloid nucleus/amygdaloid nuclei",
         "amygdaloid complex/amygdaloid complexes", "amygdalar nucleus/amygdalar nuclei",
         "amygdaloid nuclear complex/amygdaloid nuclear complexes"),
        ("corpus amygdaloideum/corpora amygdaloidea", "amyg/amyg",
         "amygdaloid body/amygdaloid bodies"),
        ("amygdalar complex/amygdalar complexes", "amygdaloid region/amygdaloid regions"),
    ),
    "thalamus": (
        ("thalamus/thalami", "thalamus/thalami", "thalamus proper/thalami proper",
         "thalamic nucleus/thalamic nuclei", "thalamic gray matter",
         "thalamic region/thalamic regions", "thalamic nuclear complex/thalamic nuclear complexes"),
        ("thal/thal", "optic thalamus/optic thalami", "dorsal thalamus/dorsal thalami"),
        ("thalamic complex/thalamic complexes", "thalamic tissue"),
    ),
    "caudate": (
        ("caudate/caudates", "caudate nucleus/caudate nuclei", "caudate head/caudate heads",
         "caudate body/caudate bodies", "head of the caudate/heads of the caudates",
         "head of the caudate nucleus/heads of the caudate nuclei",
         "caudate region/caudate regions", "caudate gray matter"),
        ("nucleus caudatus/nuclei caudati", "caud/caud", "caudatum/caudata"),
        ("tail of the caudate/tails of the caudates", "caudate tissue"),
    ),
    "putamen": (
        ("putamen/putamina", "putamen/putamina", "putamen/putamens",
         "putaminal nucleus/putaminal nuclei", "putaminal gray matter",
         "putaminal region/putaminal regions", "putaminal structure/putaminal structures"),
        ("putam/putam", "nucleus putamen/nuclei putamen",
         "putaminal body/putaminal bodies"),
        ("putaminal complex/putaminal complexes", "putaminal tissue"),
    ),
    "pallidum": (
        ("pallidum/pallida", "globus pallidus/globi pallidi", "globus pallidus/globi pallidi",
         "pallidal nucleus/pallidal nuclei", "pallidal gray matter",
         "pallidal region/pallidal regions"),
        ("paleostriatum/paleostriata", "pallidal complex/pallidal complexes",
         "dorsal pallidum/dorsal pallida"),
        ("pallidal structure/pallidal structures", "globus pallidum/globi pallidum"),
    ),
    "nucleus accumbens": (
        ("nucleus accumbens/nuclei accumbentes", "accumbens/accumbens", "NAc",
         "accumbens area/accumbens areas", "accumbens region/accumbens regions",
         "nucleus accumbens region/nucleus accumbens regions", "accumbal nucleus/accumbal nuclei"),
        ("NAcc/NAcc", "accumbens nucleus/accumbens nuclei",
         "ventral striatum/ventral striata"),
        ("accumbal area/accumbal areas", "nucl accumbens"),
    ),
    "ventral diencephalon": (
        ("ventral diencephalon/ventral diencephala", "ventral DC",
         "ventral diencephalic area/ventral diencephalic areas",
         "ventral diencephalic region/ventral diencephalic regions",
         "ventral part of the diencephalon/ventral parts of the diencephalon"),
        ("VDC/VDC", "basal diencephalon/basal diencephala",
         "inferior diencephalon/inferior diencephala"),
        ("ventral diencephalic tissue", "ventral portion of the diencephalon"),
    ),
    "lateral ventricle": (
        ("lateral ventricle/lateral ventricles", "lateral ventricle/lateral ventricles",
         "lat ventricle/lat ventricles", "lateral cerebral ventricle/lateral cerebral ventricles",
         "lateral ventricular cavity/lateral ventricular cavities"),
        ("ventriculus lateralis/ventriculi laterales", "lat vent/lat vents",
         "telencephalic ventricle/telencephalic ventricles"),
        ("lateral brain ventricle/lateral brain ventricles",
         "lateral ventricular space/lateral ventricular spaces"),
    ),
    "temporal horn": (
        ("temporal horn/temporal horns", "inferior lateral ventricle/inferior lateral ventricles",
         "temporal horn of the lateral ventricle/temporal horns of the lateral ventricles",
         "temporal horn of the ventricle/temporal horns of the ventricles",
         "ventricular temporal horn/ventricular temporal horns"),
        ("inferior horn/inferior horns", "cornu temporale/cornua temporalia",
         "inferior horn of the lateral ventricle/inferior horns of the lateral ventricles"),
        ("temporal ventricular horn/temporal ventricular horns",
         "inf lateral ventricle/inf lateral ventricles"),
    ),
    "cerebellar white matter": (
        ("cerebellar white matter", "cerebellum white matter", "cerebellar WM",
         "white matter of the cerebellum", "white matter in the cerebellum",
         "deep cerebellar white matter", "cerebellar hemispheric white matter"),
        ("arbor vitae/arbores vitae", "corpus medullare/corpora medullaria",
         "cerebellar white substance/cerebellar white substance"),
        ("deep white matter of the cerebellum", "cerebellum WM"),
    ),
    "cerebellar cortex": (
        ("cerebellar cortex/cerebellar cortices", "cerebellum cortex/cerebellum cortices",
         "cerebellar gray matter", "cerebellar grey matter", "cerebellum gray matter",
         "cortex of the cerebellum/cortices of the cerebellum",
         "cerebellar cortical ribbon/cerebellar cortical ribbons"),
        ("cerebellar GM/cerebellar GM", "cortex cerebelli/cortices cerebelli",
         "cerebellar folium/cerebellar folia"),
        ("cerebellar cortical gray matter", "cortical layer of the cerebellum"),
    ),
    "cerebral white matter": (
        ("cerebral white matter", "white matter", "WM", "periventricular white matter",
         "white matter of the cerebrum", "white matter of the brain", "cerebral WM",
         "deep white matter"),
        ("white substance/white substance", "subcortical white matter/subcortical white matter",
         "hemispheric white matter/hemispheric white matter"),
        ("brain white matter", "cerebrum white matter"),
    ),
    "cerebral cortex": (
        ("cerebral cortex/cerebral cortices", "cortex/cortices", "cortical ribbon/cortical ribbons",
         "cortical gray matter", "cortical grey matter",
         "cortex of the cerebrum/cortices of the cerebrum", "cerebral cortical gray matter"),
        ("neocortex/neocortices", "cortical mantle/cortical mantles",
         "pallial mantle/pallial mantles"),
        ("brain cortex/brain cortices", "cerebral cortical ribbon/cerebral cortical ribbons"),
    ),
    "third ventricle": (
        ("third ventricle", "3rd ventricle", "third cerebral ventricle", "third brain ventricle",
         "3rd cerebral ventricle", "ventricle number three"),
        ("ventriculus tertius/ventriculus tertius", "III ventricle/III ventricle",
         "diencephalic ventricle/diencephalic ventricle"),
        ("3rd brain ventricle", "third ventricular cavity"),
    ),
    "fourth ventricle": (
        ("fourth ventricle", "4th ventricle", "fourth cerebral ventricle",
         "fourth brain ventricle", "4th cerebral ventricle", "ventricle number four"),
        ("ventriculus quartus/ventriculus quartus", "IV ventricle/IV ventricle",
         "rhombencephalic ventricle/rhombencephalic ventricle"),
        ("4th brain ventricle", "fourth ventricular cavity"),
    ),
    "brainstem": (
        ("brainstem", "brain stem", "brain-stem", "entire brainstem", "brainstem region",
         "whole brain stem"),
        ("truncus encephali/truncus encephali", "encephalic trunk/encephalic trunk",
         "stem of the brain/stem of the brain"),
        ("brainstem tissue", "complete brain stem"),
    ),
    "cerebrospinal fluid": (
        ("CSF", "cerebrospinal fluid", "CSF space/CSF spaces",
         "cerebrospinal fluid space/cerebrospinal fluid spaces", "extra-axial CSF",
         "extracerebral CSF"),
        ("liquor/liquor", "subarachnoid space/subarachnoid spaces",
         "cerebro-spinal fluid/cerebro-spinal fluid"),
        ("CSF compartment/CSF compartments", "extracerebral cerebrospinal fluid"),
    ),
    "brain": (
        ("brain", "whole brain", "brain parenchyma", "entire brain"),
        ("encephalon/encephalon", "brain tissue/brain tissue",
         "cerebral parenchyma/cerebral parenchyma"),
        ("complete brain",),
    ),
}  # fmt: skip

GROUPS: Names = {
    "ventricles": (
        ("ventricles", "cerebral ventricles", "brain ventricles", "all ventricles"),
        ("ventricular system/ventricular system",
         "ventricular cavities/ventricular cavities"),
        ("ventricles of the brain",),
    ),
    "cerebellum": (
        ("cerebellum", "cerebellum", "cerebellar hemisphere/cerebellar hemispheres",
         "whole cerebellum"),
        ("little brain/little brain", "hemisphere of the cerebellum/hemispheres of the cerebellum"),
        ("entire cerebellum",),
    ),
    "basal ganglia": (
        ("basal ganglia", "basal ganglion/basal ganglia", "ganglia of the base"),
        ("basal nuclei/basal nuclei", "nuclei basales/nuclei basales"),
        ("all basal ganglia",),
    ),
    "striatum": (
        ("striatum/striata", "corpus striatum/corpora striata", "striatal nuclei"),
        ("neostriatum/neostriata",),
        ("striatal complex/striatal complexes",),
    ),
    "lentiform nucleus": (
        ("lentiform nucleus/lentiform nuclei", "lentiform complex/lentiform complexes"),
        ("lenticular nucleus/lenticular nuclei",),
        ("lentiform region/lentiform regions",),
    ),
    "deep gray matter": (
        ("deep gray matter", "deep grey nuclei", "deep grey matter", "deep gray nuclei",
         "deep gray structures"),
        ("subcortical gray matter/subcortical gray matter",
         "subcortical nuclei/subcortical nuclei"),
        ("deep gray matter nuclei",),
    ),
    "limbic structures": (
        ("limbic structures", "limbic system/limbic system", "limbic regions"),
        ("limbic lobe/limbic lobes", "limbic complex/limbic complexes"),
        ("limbic areas",),
    ),
    "gray matter": (
        ("gray matter", "grey matter", "gray matter of the cerebrum"),
        ("gray substance/gray substance", "GM/GM"),
        ("brain gray matter",),
    ),
    "cerebrum": (
        ("cerebrum/cerebra", "cerebral hemisphere/cerebral hemispheres", "whole cerebrum"),
        ("supratentorial brain/supratentorial brain", "telencephalon/telencephala"),
        ("entire cerebrum",),
    ),
}  # fmt: skip

# Adjectives of a finding ("hippocampal atrophy"); they are of the names that training has.
ADJECTIVES = {
    "hippocampus": "hippocampal", "amygdala": "amygdalar", "thalamus": "thalamic",
    "caudate": "caudate", "putamen": "putaminal", "pallidum": "pallidal",
    "cerebral cortex": "cortical", "cerebellum": "cerebellar", "brainstem": "brainstem",
    "cerebral white matter": "white matter", "striatum": "striatal",
    "lentiform nucleus": "lentiform", "cerebellar cortex": "cerebellar cortical",
}  # fmt: skip

# Parts of the head and body that no label of the brain table stands for.
ELSEWHERE = (
    ("liver", "left kidney", "right kidney", "spleen", "both lungs", "heart", "pancreas", "aorta",
     "stomach", "corpus callosum", "pituitary gland", "left frontal lobe", "temporal lobe",
     "optic nerve", "skull", "spinal cord", "internal capsule", "pons", "left eye", "meningioma",
     "corona radiata", "midbrain", "left femur", "bladder", "thyroid", "right lung", "esophagus",
     "lumbar spine", "left breast", "rib cage", "tibia", "ascending colon", "uterus", "ovaries",
     "clavicle", "optic tract", "sylvian fissure", "right orbit", "frontal sinus", "dura",
     "middle cerebral artery", "renal cortex", "adrenal cortex", "left adrenal gland",
     "bone marrow", "muscle", "skin", "inner ear", "teeth", "lymph nodes", "trachea",
     "left atrium", "mitral valve", "portal vein", "duodenum", "cervical spine", "knee joint",
     "right shoulder", "entorhinal cortex", "cingulate gyrus", "red nucleus", "tumor", "lesions"),
    ("gallbladder", "prostate", "right hip", "vertebra", "carotid artery", "fornix",
     "hypothalamus", "pineal gland", "left parietal lobe", "occipital lobe", "insula",
     "medulla oblongata", "scalp", "mastoid", "cerebellar vermis", "optic chiasm", "falx",
     "maxillary sinus", "abscess", "aneurysm"),
    ("jejunum", "left ankle", "sternum", "appendix", "basilar artery", "subthalamic nucleus",
     "tongue", "parotid gland", "substantia nigra", "right ureter"),
)  # fmt: skip
# The same, of things that share letters or words with a name.
NEAR_MISSES = (
    ("arch of the aorta", "aortic root", "aortic valve", "aortic wall", "aortic dissection",
     "aortic stent", "abdominal aorta", "zygomatic arch", "vertebral arch", "dental arch",
     "cortical bone", "corticosteroid", "corticospinal tract", "vertical axis", "vertical plane",
     "critical finding", "practical", "particle", "article", "articular surface",
     "articular cartilage", "auricle", "left ventricle of the heart",
     "right ventricle of the heart", "ventricular septum", "ventral hernia", "ventral wall",
     "ventilation", "ventriculogram", "cardiac stem cells", "stem of the bronchus",
     "main stem bronchus", "stent", "hippuric acid", "hippocratic face", "palladium", "pallor",
     "palate", "putative lesion", "putrid", "caudal", "caudal vertebrae", "cauda equina", "caudad",
     "accumulation", "accumulating fluid", "amygdalin", "tonsil", "amylase", "amyloid",
     "thalassaemia", "thalidomide", "hypothalamic nuclei", "thallium", "cerebellopontine angle",
     "cerebral artery", "cerebral vein", "cerebral aneurysm", "ceruloplasmin", "cerclage",
     "brainwave", "branchial cleft", "bronchus", "white blood cells", "white of the eye",
     "grey eyes", "nucleus pulposus", "nuclear medicine", "nuclei of cells", "lateral ligament",
     "lateral malleolus", "inferior vena cava", "inferior lobe of the lung", "lentigo", "lens",
     "lenticel", "globe", "globulin", "globus sensation", "striated muscle", "striae",
     "basal cells", "basal lung fields", "basilic vein", "gangrene", "ganglion cyst of the wrist",
     "limb", "limbs", "limbus", "renal cortices", "ovarian cortex", "femoral cortex", "third toe",
     "third molar", "fourth rib", "fourth finger", "3rd rib", "4th metatarsal",
     "spinal fluid leak", "pleural fluid", "fluid level", "pericardial space", "pleural space",
     "joint space", "tail of the pancreas", "pancreatic head", "femoral head", "head of the femur",
     "body of the uterus", "gastric body", "carotid body", "vitreous body",
     "medulla of the kidney"),
    ("cardiac ventricle", "thymus", "caudal fin", "bronchial stem", "ascending aortic segment",
     "aortoiliac graft", "cortisol", "cortical screw", "ventral root", "ventilator",
     "lateral meniscus", "third lumbar vertebra", "fourth toe", "amylopectin", "palatine bone",
     "putrefaction", "globulins", "nucleotide", "nucleus of a cell", "basal metabolic rate",
     "ganglioneuroma", "lentil", "striped muscle", "brainstorm", "stem cells", "grey hair",
     "hippopotamus", "vertebrobasilar artery", "liquorice", "thalamiflora"),
    ("cortisone", "ventricular assist device", "hypothalamic hormone", "puma", "amygdule",
     "aortic bulb", "cerebroside", "accumulator"),
)  # fmt: skip
NOTHING = (
    (".", "?", "please", "segment", "hello", "n/a", "the scan", "thank you",
     "segment this image please", "anything", "1", "left", "the right side", "image 3", "test",
     "no text", "see attached", "unknown", "which one?", "scan of the patient", "measure", "x"),
    ("-", "...", "ok", "none", "lorem ipsum", "delineate", "good morning", "tbd", "\n", "0",
     "kindly process the dataset", "right"),
    ("hi there", "12345", "see below", "T1", "as discussed", "!"),
)  # fmt: skip
EVERYTHING = (
    (
        "everything",
        "all structures",
        "all labels",
        "all brain structures",
        "the full label map",
        "all regions",
        "all brain regions",
    ),
    ("every structure", "all of it", "each structure"),
    ("every label", "all available structures"),
)
