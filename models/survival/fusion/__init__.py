"""Networks that predict survival from the tokens of several modalities, one method a file.

They stand apart from ``mmtool.models.fusion``, whose methods let a text steer the features of a
volume: those return features for a decoder, these return hazards and leave out absent modalities.
"""
