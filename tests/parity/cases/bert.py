"""BERT and its kin."""

from .common import ENCODER as BERT, case

CASES = {
    "bert": case("BertForPreTraining", "masked-language-model head, pooler and next-sentence head", BERT),
    "bert_mlm": case("BertForMaskedLM", "no pooler; another activation", BERT, hidden_act="gelu_new"),
    "bert_bare": case("BertModel", "no heads and no prefix, with pooler", BERT),
}
