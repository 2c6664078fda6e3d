"""Words for the structures of the head, and for what reports of the head speak of besides."""

from __future__ import annotations

from mmtool.models.text.words import Concept

_SUBCORTICAL = (
    "thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala", "nucleus accumbens",
)  # fmt: skip

BRAIN_CONCEPTS: dict[str, Concept] = {
    "hippocampus": Concept(
        ("hippocampus", "anterior hippocampus", "posterior hippocampus"),
        ("hippocampus", "hippocampal formation", "ammon's horn", "hippo", "hipp",
         "hippocampus complex", "cornu ammonis"),
        short=("hc",),
    ),
    # Of a table that has the hippocampus whole, its parts mean the whole. The posterior part is
    # body and tail, as in the Medical Segmentation Decathlon (10.1038/s41467-022-30695-9).
    "anterior hippocampus": Concept(
        ("anterior hippocampus",),
        ("anterior hippocampus", "hippocampus anterior", "hippocampus head",
         "head of the hippocampus", "anterior part of the hippocampus", "uncal hippocampus",
         "anterior portion of the hippocampus"),
        terse=("head", "anterior", "anterior part"),
        instead=("hippocampus",),
    ),
    "posterior hippocampus": Concept(
        ("posterior hippocampus",),
        ("posterior hippocampus", "hippocampus posterior", "hippocampus body",
         "hippocampus tail", "body of the hippocampus", "tail of the hippocampus",
         "body and tail of the hippocampus", "hippocampus body and tail",
         "posterior part of the hippocampus", "posterior portion of the hippocampus"),
        terse=("body", "tail", "body and tail", "posterior", "posterior part"),
        instead=("hippocampus",),
    ),
    "amygdala": Concept(
        ("amygdala",),
        ("amygdala", "amygdaloid complex", "amygdaloid body", "amygdaloid nucleus",
         "corpus amygdaloideum", "amyg"),
    ),
    "thalamus": Concept(
        ("thalamus",),
        ("thalamus", "thalamic nucleus", "thalamus proper", "thalamus gray matter",
         "dorsal thalamus", "optic thalamus", "thal"),
    ),
    "caudate": Concept(
        ("caudate",),
        ("caudate", "caudate nucleus", "caudate head", "head of the caudate", "caud",
         "nucleus caudatus", "caudatum", "caudate body", "caudate tail"),
    ),
    "putamen": Concept(
        ("putamen",),
        ("putamen", "putamen nucleus", "nucleus putamen", "putamen body",
         "putamen gray matter", "putam"),
    ),
    "pallidum": Concept(
        ("pallidum",),
        ("pallidum", "globus pallidus", "pallidum nucleus", "paleostriatum",
         "pallidum complex", "dorsal pallidum"),
        short=("gp",),
    ),
    "nucleus accumbens": Concept(
        ("nucleus accumbens",),
        ("nucleus accumbens", "accumbens", "accumbens area", "ventral striatum",
         "accumbens nucleus", "nac", "nacc"),
    ),
    "ventral diencephalon": Concept(
        ("ventral diencephalon",),
        ("ventral diencephalon", "ventral dc", "ventraldc", "vdc", "ventral diencephalic area",
         "basal diencephalon", "inferior diencephalon"),
    ),
    "lateral ventricle": Concept(
        ("lateral ventricle", "inferior lateral ventricle"),
        ("lateral ventricle", "lat ventricle", "lat vent", "lateral cerebral ventricle",
         "ventriculus lateralis", "telencephalic ventricle"),
    ),
    "temporal horn": Concept(
        ("inferior lateral ventricle",),
        ("temporal horn", "inferior horn", "inferior lateral ventricle",
         "temporal horn of the lateral ventricle", "inferior horn of the lateral ventricle",
         "inf lat vent", "cornu temporale"),
    ),
    "third ventricle": Concept(
        ("third ventricle",),
        ("third ventricle", "3rd ventricle", "iii ventricle", "third cerebral ventricle",
         "ventriculus tertius", "diencephalic ventricle"),
    ),
    "fourth ventricle": Concept(
        ("fourth ventricle",),
        ("fourth ventricle", "4th ventricle", "iv ventricle", "fourth cerebral ventricle",
         "ventriculus quartus", "rhombencephalic ventricle"),
    ),
    "ventricles": Concept(
        ("lateral ventricle", "inferior lateral ventricle", "third ventricle",
         "fourth ventricle"),
        ("ventricle", "ventricular system", "cerebral ventricle", "ventricular cavity"),
    ),
    "brainstem": Concept(
        ("brainstem",),
        ("brainstem", "brain stem", "truncus encephali", "encephalic trunk",
         "stem of the brain"),
    ),
    "cerebellar cortex": Concept(
        ("cerebellar cortex",),
        ("cerebellar cortex", "cerebellar gray matter", "cerebellum cortex",
         "cortex of the cerebellum", "cortex cerebelli", "cerebellar folium", "cerebellar gm"),
    ),
    "cerebellar white matter": Concept(
        ("cerebellar white matter",),
        ("cerebellar white matter", "cerebellum white matter",
         "white matter of the cerebellum", "cerebellar wm", "arbor vitae", "corpus medullare",
         "cerebellar white substance"),
    ),
    "cerebellum": Concept(
        ("cerebellar cortex", "cerebellar white matter"),
        ("cerebellum", "cerebellar hemisphere", "hemisphere of the cerebellum", "little brain"),
    ),
    "cerebral cortex": Concept(
        ("cerebral cortex",),
        ("cerebral cortex", "cortex", "cortical gray matter", "cortical ribbon", "neocortex",
         "cortical mantle", "pallial mantle"),
    ),
    "cerebral white matter": Concept(
        ("cerebral white matter",),
        ("cerebral white matter", "white matter", "periventricular white matter",
         "subcortical white matter", "deep white matter", "wm", "cerebral wm",
         "white substance", "hemispheric white matter"),
    ),
    "gray matter": Concept(
        ("cerebral cortex", *_SUBCORTICAL),
        ("gray matter", "cerebral gray matter", "gray substance"),
        short=("gm",),
    ),
    "deep gray matter": Concept(
        ("thalamus", "caudate", "putamen", "pallidum", "nucleus accumbens"),
        ("deep gray matter", "deep gray nucleus", "subcortical gray matter", "deep nucleus",
         "deep gray structure", "subcortical nucleus"),
    ),
    "subcortical structures": Concept(
        _SUBCORTICAL,
        ("subcortical structure",),
    ),
    "basal ganglia": Concept(
        ("caudate", "putamen", "pallidum", "nucleus accumbens"),
        ("basal ganglion", "basal nucleus", "nucleus basales"),
    ),
    "limbic structures": Concept(
        ("hippocampus", "amygdala"),
        ("limbic structure", "limbic system", "limbic lobe", "limbic complex"),
    ),
    "striatum": Concept(
        ("caudate", "putamen", "nucleus accumbens"),
        ("striatum", "corpus striatum", "neostriatum"),
    ),
    "lentiform nucleus": Concept(
        ("putamen", "pallidum"),
        ("lentiform nucleus", "lenticular nucleus", "lentiform"),
    ),
    "cerebrum": Concept(
        ("cerebral white matter", "cerebral cortex", "lateral ventricle",
         "inferior lateral ventricle", *_SUBCORTICAL, "ventral diencephalon"),
        ("cerebrum", "cerebral hemisphere", "hemisphere", "supratentorial brain",
         "telencephalon"),
    ),
    "cerebrospinal fluid": Concept(
        ("cerebrospinal fluid",),
        ("cerebrospinal fluid", "csf", "liquor", "subarachnoid space", "extra-axial csf",
         "csf space", "cerebro-spinal fluid"),
    ),
    "brain": Concept(
        ("brain",),
        ("brain", "whole brain", "brain mask", "encephalon", "parenchyma", "brain parenchyma",
         "brain tissue", "cerebral parenchyma"),
    ),
    "everything": Concept(
        (),
        ("everything", "all structure", "all label", "all of it", "all brain structure",
         "every structure", "each structure", "all of them"),
    ),
}  # fmt: skip

# Known to a reader of reports: named, never guessed, unless a label table has them.
UNKNOWN_PHRASES = (
    # parts of the brain
    "frontal", "parietal", "occipital", "frontal lobe", "temporal lobe",
    "parietal lobe", "occipital lobe", "insula", "insular cortex",
    "cingulate gyrus", "cingulate cortex", "corpus callosum", "internal capsule",
    "external capsule", "corona radiata", "centrum semiovale", "fornix", "hypothalamus",
    "pituitary", "pituitary gland", "pineal gland", "pineal", "midbrain", "pons", "medulla",
    "medulla oblongata", "cerebellar vermis", "vermis", "cerebellar tonsil", "substantia nigra",
    "subthalamic nucleus", "red nucleus", "mammillary body", "optic chiasm", "optic nerve",
    "cardiac ventricle", "optic tract", "choroid plexus", "septum pellucidum",
    "cavum septum pellucidum",
    "entorhinal cortex", "parahippocampal gyrus", "fusiform gyrus", "precuneus", "cuneus",
    "prefrontal cortex", "motor cortex", "visual cortex", "sylvian fissure", "sulcus", "gyrus",
    "basal cistern", "cistern", "cerebral aqueduct", "aqueduct", "frontal horn", "occipital horn",
    "mesial temporal structure", "medial temporal structure", "mesial temporal lobe",
    "medial temporal lobe", "claustrum", "uncus", "habenula", "dentate nucleus",
    "cerebral peduncle",
    # other parts of the head and body
    "skull", "calvarium", "scalp", "skull base", "meninges", "meninx", "dura", "dura mater", "falx",
    "tentorium", "orbit", "eye", "globe", "paranasal sinus", "maxillary sinus", "sphenoid sinus",
    "mastoid", "mastoid air cell", "internal auditory canal", "cranial nerve", "spinal cord",
    "circle of willis", "middle cerebral artery", "carotid artery", "basilar artery",
    "venous sinus", "sagittal sinus", "liver", "spleen", "kidney", "lung", "heart", "pancreas",
    "stomach", "aorta", "prostate", "bladder", "gallbladder", "vertebra", "femur", "hip",
    # findings
    "tumor", "mass", "lesion", "metastasis", "glioma", "glioblastoma", "meningioma", "edema",
    "necrosis", "hemorrhage", "hematoma", "infarct", "infarction", "stroke", "cyst", "abscess",
    "aneurysm", "hydrocephalus", "white matter hyperintensity", "white matter lesion",
    "mesial temporal sclerosis", "microbleed", "enhancement", "midline shift",
)  # fmt: skip
