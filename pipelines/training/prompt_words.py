"""Templates of the prompts that a text-conditioned network is trained on.

Each list is cut in three as in ``prompt_anatomy``: ``train``, ``unseen``, ``dev``. A word in angle
brackets stands for any of its list in ``FILL`` (of the same split).
"""

from __future__ import annotations

Split3 = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

# One side, both sides. {s} singular, {p} plural, {o} left or right, {O} L or R, {T} lt or rt.
ONE_SIDE: Split3 = (
    ("{o} {s}", "{o} {s}", "{o} {s}", "the {o} {s}", "{O} {s}", "{o}-sided {s}", "{T} {s}",
     "{s} ({o})", "{s} on the {o}", "{s}, {o}", "{s} {O}", "{o}_{s}", "{s} of the {o} side",
     "{s} on the {o} side"),
    ("{T}. {s}", "{s} of the {o} hemisphere", "{o} side {s}", "the {s} ({O})", "{s} - {o}"),
    ("{s} (on the {o})", "{o}-side {s}", "the {s} at the {o} side"),
)  # fmt: skip
BOTH_SIDES: Split3 = (
    ("both {p}", "bilateral {p}", "the left and right {s}", "left and right {s}",
     "{p} on both sides", "{p} bilaterally", "right and left {s}", "both the {p}",
     "{p} (left and right)", "L and R {s}", "left/right {s}", "the {s} on both sides",
     "{p} (both sides)", "{p} (L and R)", "left + right {s}", "{p}, both sides", "L/R {s}", "{p}",
     "the {p}", "the {p}"),
    ("the {p} of both sides", "either {s}", "left as well as right {s}", "the paired {p}",
     "{s} (bilateral)", "{p}, right plus left"),
    ("{p} in both halves of the head", "{p} (bilat)", "left & right {s}"),
)  # fmt: skip

ASK: Split3 = (
    ("{x}", "{x}", "{x}", "<do> {x}", "<do> {x}", "<do> {x}<place>", "<please> <do> {x}",
     "<do> {x} please", "<please> <do> {x}<place>.", "<want> {x}", "<want> {x}<why>.",
     "<a mask> of {x}", "<a mask> of {x}<place>", "<want> <a mask> of {x}",
     "<can you> <do> {x}?", "<can you> <do> {x}<place>, please?", "<can you> give me <a mask> of "
     "{x}?", "only {x}", "just {x}", "{x} only", "{x} please", "{x}<place>", "{x}<why>",
     "where is {x}?", "where are {x}?", "how large is {x}?", "what is the volume of {x}?",
     "what size are {x}<place>?", "<do> {x}<why>.", "<do> {x}, nothing more", "ROI = {x}",
     "structure: {x}", "regions: {x}", "<context>. <Do> {x}.", "<context>, <please> <do> {x}.",
     "<context>. <want> {x}.", "<Do> {x}. <thanks>.", "<thanks>. <want> <a mask> of {x}.",
     "{x}. <thanks>.", "<why0>: {x}", "<why0>, <do> {x}", "interested in {x}",
     "the structure to <do> is {x}", "my question is about {x}", "<do> only {x}<place>"),
    ("trace {x}", "kindly isolate {x}", "could you produce a contour for {x}?", "target: {x}",
     "we are interested in {x}", "the region of interest is {x}", "compute the size of {x}",
     "annotate {x} for me", "my area of interest comprises {x}", "demarcate {x} <unseen place>",
     "pick {x} out of the volume", "a tracing of {x} would help", "may I have {x} depicted?",
     "{x} is what I am after", "what would be the extent of {x}?", "<unseen talk>. Trace {x}.",
     "Render {x} <unseen place>. <unseen talk>."),
    ("visualise {x}", "{x} is required", "crop out {x} for us", "is it possible to paint {x}?",
     "a map showing {x}", "our protocol calls for {x}", "return the voxels of {x}",
     "Dear colleague, kindly capture {x}. Best wishes.", "the task: {x}", "how many mL has {x}?"),
)  # fmt: skip
# {g}: everything or a group; {x}: what is left out of it.
EXCEPT: Split3 = (
    ("{g} except {x}", "{g} except for {x}", "{g} without {x}", "{g} but not {x}",
     "{g} minus {x}", "<do> {g}, but not {x}", "<please> <do> {g} but no {x}",
     "<do> {g}. {X} {x_is} not to be segmented.", "{g} excluding {x}", "{g}, excluding {x}",
     "{g}, leave out {x}", "{g}; ignore {x}", "<do> {g} and skip {x}", "<do> {g}, not {x}",
     "<do> {g}. Do not include {x}.", "{g}, no {x}", "{g} with the exception of {x}",
     "{g} (without {x})", "{g} (not {x})", "<do> {g}. Leave {x} out.", "{g}, but {x} not",
     "<want> {g}. {X} {x_is} not needed.", "except {x}, <do> {g}", "without {x}: {g}",
     "{g} apart from {x}", "{g}, apart from {x}",
     "{g} not including {x}", "<do> {g}, leaving out {x}", "{g} with {x} removed",
     "<do> {g}. Exclude {x}.", "{g}. Not {x}.", "all of {g} but not {x}", "{g}, skipping {x}",
     "<do> {g}, remove {x}", "{g}, never {x}", "<do> {g} only where {x} {x_is} not", "{g}; not {x}",
     "<want> {g}, but don't <do> {x}", "apart from {x}, <do> {g}", "{g} - without {x}"),
    ("{g} other than {x}", "{g} omitting {x}", "{g} save for {x}", "{g} bar {x}",
     "{g}, not counting {x}", "trace {g} and disregard {x}", "{g}, leaving {x} aside"),
    ("{g} less {x}", "{g}, {x} excepted", "visualise {g}, dropping {x}", "{g} but spare {x}"),
)  # fmt: skip
OTHER_SIDE: Split3 = (
    ("both {p} except the {o} one", "both {p} but not the {o} one", "{p} except the {o}",
     "{p}, not the {o}", "{p} without the {o} one", "{p}, but no {o} one",
     "both {p}, excluding the {o}"),
    ("both {p}, omitting the {o} one", "both {p} save for the {o}"),
    ("both {p} less the {o} one",),
)  # fmt: skip
# {x} is wanted, {y} is something else, not wanted.
NOT: Split3 = (
    ("{x}, not {y}", "{x} but not {y}", "{x}, no {y}", "<do> {x} (not {y})", "<want> {x}, not "
     "{y}", "<do> {x}. Do not <do> {y}.", "<do> {x}; ignore {y}", "no {y}, only {x}",
     "not {y}, just {x}", "<do> {x} instead of {y}", "{x} rather than {y}", "not {y} but {x}",
     "<do> {x}. {Y} {y_is} not needed.", "I don't need {y}, <do> {x}", "<do> {x} without {y}",
     "{x}, excluding {y}", "do not <do> {y}; <do> {x}", "leave out {y}. <Do> {x}.",
     "{x} (no {y})", "<do> {x}, {y} {y_is} not wanted", "{x}, never {y}", "{x} apart from {y}",
     "<do> {x}, don't <do> {y}", "exclude {y}; {x}", "{Y} {y_is} of no interest, <do> {x}.",
     "{x} only. No {y}.", "<do> {x}, skip {y}", "{Y} {y_is} unnecessary, {x} {x_is} not.",
     "instead of {y} <do> {x}", "<want> {x} but not {y}", "<do> {x} except {y}"),
    ("trace {x} and disregard {y}", "{x} in place of {y}", "{Y} can be dropped, {x} can't.",
     "depict {x}, omitting {y}", "never mind {y}; trace {x}"),
    ("visualise {x}, forget {y}", "{x} as opposed to {y}", "{Y} {y_is} irrelevant; paint {x}."),
)  # fmt: skip
# One side of a pair, not the other; {q} is the other side.
THIS_SIDE: Split3 = (
    ("{o} {s}, not the {q}", "the {o} {s} but not the {q} one", "{o}, not {q} {s}",
     "{s} on the {o}, not on the {q}", "only the {o} {s}, not the {q}", "{o} {s}, no {q} {s}",
     "not the {q} but the {o} {s}", "{o} {s} without the {q}"),
    ("{o} {s}, leaving the {q} one aside", "{o} {s} in place of {q} {s}"),
    ("{o} {s} as opposed to the {q}",),
)  # fmt: skip
# {l}: a list without sides, {o} left or right.
SHARED: Split3 = (
    ("{l} on the {o}", "{l}, {o} side", "{o} side: {l}", "on the {o}: {l}", "{o}-sided {l}",
     "{l} on the {o} side", "{l}, all {o}", "<do> {l}<place>, {o} only", "only {o}: {l}",
     "{O}: {l}"),
    ("{l}, {o}-hand side", "for the {o} side, trace {l}"),
    ("{o} only - {l}", "{l} at the {o}"),
)  # fmt: skip
SHARED_BOTH: Split3 = (
    ("{l} on both sides", "both sides: {l}", "{l}, both sides", "{l} bilaterally",
     "bilateral {l}", "left and right: {l}", "{l} (left and right)", "L+R {l}"),
    ("{l} of either side", "{l}, paired"),
    ("{l} (bilat)", "{l} in both halves of the head"),
)  # fmt: skip
LIST: tuple[tuple[tuple[str, str], ...], ...] = (
    ((", ", " and "), (", ", " and "), (", ", ", and "), (", ", ", "), (" and ", " and "),
     ("; ", "; "), ("\n", "\n"), ("\n- ", "\n- "), (" + ", " + "), (", ", " & "), ("\n* ", "\n* "),
     (",", ","), (", ", " as well as ")),
    ((" / ", " / "), (" plus ", " plus "), (", ", " along with "), (" together with ", " and ")),
    ((" | ", " | "), (", ", " and also "), ("\n\u2022 ", "\n\u2022 ")),
)  # fmt: skip

BEFORE_LIST: Split3 = (
    ("<do>:", "<want>:", "<please> <do>:", "<a mask> of:", "ROI list:", "<Do> these structures:"),
    ("targets:", "Trace the following."),
    ("to be painted:",),
)

FILL: dict[str, tuple[str, ...]] = {
    "do": ("segment", "segment", "segment", "show", "show me", "find", "outline", "mark", "label",
           "measure", "draw", "give me", "delineate", "contour", "extract", "highlight",
           "identify", "locate", "display", "get", "map", "quantify", "select", "make a mask of",
           "calculate the volume of", "create a segmentation of", "mask", "colour", "detect",
           "provide", "<new>"),
    "a mask": ("a mask", "the mask", "masks", "mask", "segmentation", "a segmentation",
               "the volume", "volumes", "the outline", "a label map", "an image", "the size",
               "the contours", "the boundary", "a <new>"),
    "please": ("please", "Please", "pls", "kindly please", "could you please", "hi, please",
               "can you", "you should", "we ask you to"),
    "want": ("I want", "I need", "I would like", "I'd like to see", "I want to see", "we want",
               "we need", "need", "want", "looking for", "I am interested in", "I only want",
               "she needs", "I would like to have", "we would like to measure",
               "I want to measure", "all I need is", "I'd want"),
    "can you": ("can you", "could you", "would you", "will you", "can the tool", "can I ask you to",
                "could you please", "is it possible to"),
    "place": (" in this scan", " in the image", " on the T1", " on this MRI", " in the volume",
              " in 3D", " in this patient", " for me", " in the attached file", " on all slices",
              " here", " for patient <n>", " for subject <n>"),
    "why": (" for a study of <topic>", " for surgery planning", " for radiotherapy",
            " because of <topic>", " for volumetry", " to compare with last year",
            " for my thesis", " for a patient with <topic>", " so that I can measure it",
            " to check for <topic>", " for the <topic> trial", " for research"),
    "why0": ("for a study of <topic>", "for surgery planning", "for radiotherapy",
             "for volumetry", "<topic> study", "for my thesis", "<topic>"),
    "context": ("The patient has <topic>", "We study <topic>", "This is a scan of a <n> year old",
                "A patient with <topic>", "I am working on <topic>", "Hello",
                "We are planning surgery", "Suspected <topic>", "<n>-year-old woman",
                "The scan is from <n>", "He was referred for <topic>", "T1 at 3 T",
                "I have a question"),
    "topic": ("epilepsy", "dementia", "Alzheimer's disease", "schizophrenia", "depression",
              "multiple sclerosis", "headache", "seizures", "memory loss", "ageing", "dystonia",
              "stroke", "tremor", "hydrocephalus", "autism", "small vessel disease", "<new>",
              "memory complaints", "psychosis", "ataxia", "dizziness", "trauma"),
    "thanks": ("Thanks", "Thank you", "Many thanks", "Thanks a lot", "Best regards", "Hello",
               "That is all", "Cheers", "Nothing else is needed", "Good morning"),
    "unseen place": ("throughout the stack", "within this examination"),
    "unseen talk": ("The subject suffers from narcolepsy", "My supervisor sent me",
                    "Concussion follow-up", "Regards to the team"),
}  # fmt: skip
