"""Transcriptions in plain PyTorch of models that transformers does not have, written from their papers and public code.

A transcription is a `torch.nn.Module` made from the dict of config.json, whose `state_dict` names are those of the public
checkpoint and whose `forward(**row)` takes the fields of a row, each `[tokens]`, and returns {point: tensor}. It favours
the plainest form (recurrences are loops over tokens): it is there to be compared with, not to be fast.
"""
