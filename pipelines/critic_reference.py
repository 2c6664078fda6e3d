"""What training cases say of structures, and the fitted weights of the rules of the critic.

Written by benchmarks/critic.py; don't edit by hand. Only means and deviations over cases:
brain from 12 label maps of SynthSeg (github.com/BBillot/SynthSeg, Apache-2.0), hippocampus from
167 cases of the Medical Segmentation Decathlon, left atrium from 64 of the 2018 challenge.
"""

from __future__ import annotations

from mmtool.pipelines.critic_rules import Reference

WEIGHTS = {
    "expected": 3.99,
    "whole": 0.0,
    "size": 2.3,
    "side": 9.74,
    "place": 15.85,
    "border": 2.02,
    "gaps": 0.67,
    "intensity": 20.28,
}
MARGIN = 1.5  # lead in the log odds below which it is unsure

STRUCTURES: dict[str, dict[int, Reference]] = {
    "brain": {
        2: Reference(
            "left cerebral white matter",
            (5.3637, 0.1836),
            (-25.48, -7.37, 19.9),
            (3.58, 6.6, 5.17),
            0.0004,
        ),
        3: Reference(
            "left cerebral cortex",
            (5.3924, 0.2127),
            (-28.94, -6.51, 17.87),
            (3.5, 6.53, 5.72),
            0.0002,
        ),
        4: Reference(
            "left lateral ventricle",
            (2.7481, 0.6823),
            (-14.06, -3.4, 17.25),
            (3.15, 6.24, 2.55),
            0.0033,
        ),
        5: Reference(
            "left inferior lateral ventricle",
            (-0.1638, 0.9676),
            (-29.85, -0.87, -8.09),
            (3.05, 5.88, 4.94),
            0.6766,
        ),
        7: Reference(
            "left cerebellar white matter",
            (2.6396, 0.1943),
            (-14.09, -27.18, -29.22),
            (6.08, 9.73, 8.56),
            0.0058,
        ),
        8: Reference(
            "left cerebellar cortex",
            (3.9866, 0.1724),
            (-19.36, -35.22, -34.61),
            (7.61, 11.83, 11.17),
            0.0011,
        ),
        10: Reference(
            "left thalamus", (1.9083, 0.2074), (-12.08, -3.57, 9.59), (2.23, 3.27, 2.49), 0.0
        ),
        11: Reference(
            "left caudate", (1.306, 0.2547), (-16.14, 18.97, 18.26), (5.08, 6.76, 5.25), 0.0085
        ),
        12: Reference(
            "left putamen", (1.6055, 0.251), (-25.69, 13.34, 8.05), (3.48, 5.68, 5.01), 0.0
        ),
        13: Reference(
            "left pallidum", (0.3358, 0.2236), (-20.44, 10.2, 6.2), (2.81, 4.56, 3.82), 0.0
        ),
        14: Reference(
            "third ventricle", (0.3998, 0.5941), (-0.42, 6.31, 4.13), (1.41, 2.62, 2.81), 0.0298
        ),
        15: Reference(
            "fourth ventricle", (0.5199, 0.3718), (1.46, -18.97, -26.94), (5.04, 8.06, 6.28), 0.0281
        ),
        16: Reference(
            "brainstem", (3.0413, 0.2209), (0.66, -6.63, -22.99), (3.6, 6.36, 2.42), 0.0005
        ),
        17: Reference(
            "left hippocampus", (1.2384, 0.2934), (-23.42, -3.22, -8.07), (2.76, 4.58, 4.62), 0.0017
        ),
        18: Reference(
            "left amygdala", (0.3011, 0.2978), (-22.77, 13.23, -8.33), (3.33, 4.53, 5.0), 0.0
        ),
        24: Reference(
            "cerebrospinal fluid", (5.8942, 0.2372), (0.29, 0.27, 13.27), (2.4, 4.59, 4.12), 0.0179
        ),
        26: Reference(
            "left nucleus accumbens",
            (-0.6839, 0.2099),
            (-10.49, 24.6, 4.92),
            (4.86, 4.3, 6.81),
            0.0,
        ),
        28: Reference(
            "left ventral diencephalon",
            (1.3362, 0.2243),
            (-10.72, 1.87, -2.39),
            (1.6, 2.21, 1.87),
            0.0,
        ),
        41: Reference(
            "right cerebral white matter",
            (5.3695, 0.1897),
            (25.58, -5.17, 20.76),
            (3.82, 6.59, 5.03),
            0.0004,
        ),
        42: Reference(
            "right cerebral cortex",
            (5.402, 0.2171),
            (29.12, -4.32, 18.81),
            (3.69, 6.34, 5.48),
            0.0002,
        ),
        43: Reference(
            "right lateral ventricle",
            (2.6851, 0.8149),
            (13.02, -0.48, 18.31),
            (3.05, 5.86, 3.06),
            0.0,
        ),
        44: Reference(
            "right inferior lateral ventricle",
            (-0.0433, 0.9953),
            (29.92, 1.23, -6.64),
            (3.32, 7.54, 4.73),
            0.4022,
        ),
        46: Reference(
            "right cerebellar white matter",
            (2.636, 0.1632),
            (17.76, -24.89, -28.71),
            (6.1, 9.89, 7.13),
            0.0061,
        ),
        47: Reference(
            "right cerebellar cortex",
            (3.9903, 0.1753),
            (24.06, -32.34, -33.85),
            (7.27, 12.14, 9.31),
            0.0008,
        ),
        49: Reference(
            "right thalamus", (1.9467, 0.2387), (12.08, -2.46, 9.85), (2.47, 3.25, 2.36), 0.001
        ),
        50: Reference(
            "right caudate", (1.2873, 0.263), (13.31, 20.72, 18.82), (5.13, 6.04, 6.85), 0.0041
        ),
        51: Reference(
            "right putamen", (1.6164, 0.2063), (23.77, 15.98, 8.8), (3.8, 4.93, 6.87), 0.0
        ),
        52: Reference(
            "right pallidum", (0.284, 0.187), (18.85, 12.62, 6.71), (3.08, 4.14, 5.58), 0.0
        ),
        53: Reference(
            "right hippocampus", (1.1466, 0.4176), (24.24, -1.91, -6.96), (2.48, 6.63, 3.74), 0.0
        ),
        54: Reference(
            "right amygdala", (0.2586, 0.2924), (21.71, 16.1, -7.76), (3.26, 3.7, 6.35), 0.0
        ),
        58: Reference(
            "right nucleus accumbens",
            (-0.669, 0.2237),
            (7.76, 26.02, 5.16),
            (4.39, 4.01, 7.96),
            0.0,
        ),
        60: Reference(
            "right ventral diencephalon",
            (1.3597, 0.2281),
            (10.35, 3.04, -2.1),
            (1.44, 2.05, 2.27),
            0.0,
        ),
    },
    "hippocampus": {
        1: Reference(
            "anterior hippocampus", (0.5132, 0.1871), (1.04, 9.02, -3.62), (0.67, 0.8, 1.05), 0.0
        ),
        2: Reference(
            "posterior hippocampus", (0.4515, 0.1346), (-1.04, -9.02, 3.62), (0.67, 0.8, 1.05), 0.0
        ),
    },
    "left-atrium": {
        1: Reference("left atrium", (3.9539, 0.3508), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0),
    },
}
