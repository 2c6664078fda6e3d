"""Forty sentences written by hand, and what they ask for: for scoring only.

They were written before any network was tried on them, and nothing was chosen by them. Whoever
wrote them wrote the templates of the training texts too.
"""

from __future__ import annotations

from mmtool.anatomy import BRAIN_LABELS

# Text -> names, divided by commas; a name without its side means both. "all -": all but those.
_SENTENCES: tuple[tuple[str, str], ...] = (
    # prompts
    ("Could you give me both hippocampi, please? I only need the volumes.", "hippocampus"),
    ("left amygdala + left hippocampus", "left amygdala, left hippocampus"),
    ("Need thalamus masks for a DBS planning case, both sides", "thalamus"),
    ("just the brainstem and cerebellum, nothing else",
     "brainstem, cerebellar cortex, cerebellar white matter"),
    ("right caudate, right putamen and right pallidum for a Parkinson's study",
     "right caudate, right putamen, right pallidum"),
    ("Segment every ventricle except the fourth.",
     "lateral ventricle, inferior lateral ventricle, third ventricle"),
    ("I'm looking at hydrocephalus, so please outline the lateral and third ventricles.",
     "lateral ventricle, inferior lateral ventricle, third ventricle"),
    ("R hippocampus only", "right hippocampus"),
    ("What is the volume of the left putamen in this patient?", "left putamen"),
    ("all subcortical grey matter but no thalami",
     "caudate, putamen, pallidum, nucleus accumbens"),
    ("Cortex and white matter of the cerebrum, not the cerebellum",
     "cerebral cortex, cerebral white matter"),
    ("hipocampus and amigdala, left side", "left hippocampus, left amygdala"),
    ("- left caudate\n- right caudate\n- brain stem", "caudate, brainstem"),
    ("For our ALS trial we need the brainstem. "  # codespell:ignore als
     "Please ignore the cerebellum.", "brainstem"),
    ("Everything apart from CSF and white matter please",
     "all - cerebrospinal fluid, cerebral white matter"),
    ("Show the nucleus accumbens bilaterally and the left globus pallidus",
     "nucleus accumbens, left pallidum"),
    ("PUTAMEN LEFT AND RIGHT", "putamen"),
    ("The student should label the right thalamus (not the left one).", "right thalamus"),
    ("grey matter of the cerebellum", "cerebellar cortex"),
    ("3rd ventricle width seems large, mark it", "third ventricle"),
    # reports
    ("There is marked atrophy of both hippocampi, more pronounced on the left.", "hippocampus"),
    ("FINDINGS: Chronic lacunar infarct in the right thalamus. Basal ganglia are unremarkable. "
     "IMPRESSION: Old right thalamic lacune.", "right thalamus"),
    ("Acute haemorrhage in the left putamen measuring 2.4 x 1.8 cm with extension into the left "
     "lateral ventricle.", "left putamen, left lateral ventricle, left inferior lateral ventricle"),
    ("The lateral ventricles are dilated. The third and fourth ventricles are normal in size.",
     "lateral ventricle, inferior lateral ventricle"),
    ("Hyperintense signal in the left amygdala and left hippocampus on FLAIR, consistent with "
     "limbic encephalitis. The right mesial structures are spared.",
     "left amygdala, left hippocampus"),
    ("No acute infarct in the brainstem or cerebellum. Small chronic infarct in the left caudate "
     "head.", "left caudate"),
    ("Cerebellar atrophy with relative sparing of the brainstem.",
     "cerebellar cortex, cerebellar white matter"),
    ("Bilateral symmetric T2 hyperintensity of the globus pallidus; the putamina and thalami are "
     "not involved.", "pallidum"),
    ("Clinical: 64 y/o male with progressive memory loss. Findings: bilateral hippocampal volume "
     "loss. The ventricles are not enlarged.", "hippocampus"),
    ("A 9 mm enhancing lesion lies in the right cerebral white matter. The corpus callosum is "
     "intact.", "right cerebral white matter"),
    ("Lungs are clear. Heart size is normal. In the brain, the fourth ventricle is compressed.",
     "fourth ventricle"),
    ("Ex vacuo dilatation of the right lateral ventricle after an old stroke.",
     "right lateral ventricle, right inferior lateral ventricle"),
    ("Cortical thinning on both sides; deep grey nuclei preserved.", "cerebral cortex"),
    ("Caudate nuclei are small, as seen in Huntington's disease. Putamen normal.", "caudate"),
    ("The flair lesion occupies the left thalamus and spreads to the left ventral diencephalon. "
     "There is no hydrocephalus.", "left thalamus, left ventral diencephalon"),
    ("The right amygdala is swollen while the left amygdala looks normal.", "right amygdala"),
    ("Restricted diffusion in the right cerebellar hemisphere (PICA territory); brainstem spared.",
     "right cerebellar cortex, right cerebellar white matter"),
    ("The white matter shows confluent hyperintensities. Cortex, thalami and basal ganglia without "
     "abnormality.", "cerebral white matter"),
    ("TECHNIQUE: 3D T1, FLAIR, SWI. COMPARISON: none. FINDINGS: The left nucleus accumbens and "
     "left caudate contain a cavernoma of 11 mm. Elsewhere no abnormality.",
     "left nucleus accumbens, left caudate"),
    ("Microbleeds in both thalami and in the brain stem, none in the cerebellum.",
     "thalamus, brainstem"),
)  # fmt: skip


def handwritten() -> list[tuple[str, frozenset[int]]]:
    """Each text with the label indices that it asks for."""
    return [(text, _indices(names)) for text, names in _SENTENCES]


def _indices(names: str) -> frozenset[int]:
    without = names.removeprefix("all - ")
    wanted = {name.strip() for name in without.split(",")}
    found = frozenset(
        label.index
        for label in BRAIN_LABELS
        if label.name in wanted or label.name.removeprefix("left ").removeprefix("right ") in wanted
    )
    if without is names:
        return found
    return frozenset(label.index for label in BRAIN_LABELS) - found
