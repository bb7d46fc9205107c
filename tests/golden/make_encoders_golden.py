"""Numbers of the encoders for make_architectures_golden.py.

For row i of token ids (lengths 1, 5, 17, 40 and the context's 48, one row at a
time) a file holds
    input_ids.i       [n]
    token_type_ids.i  [n]         BERT and ELECTRA only: the second half is 1
    hidden.i          [n, dim]    last_hidden_state
    pooled.i          [dim]       where a bare model has a pooler
    logits.i          what the head gives: masked language model [n, vocab],
                      sequence [3], tokens [n, 5], discriminator [n], question
                      answering [n, 2] (start, end)
    prompt            [4, embedding dim]  rows of inputs_embeds in front of the
                      embedded ids, token type 0, positions counted through
    prompt_hidden.i   [4 + n, dim]
    prompt_logits.i   as logits.i, for prompt and text (not for masked language
                      models); sequence heads read row 0, a row of the prompt
    prefix_keys, prefix_values    [layers, heads, 3, head_dim], in front of the
                      keys and values of every self-attention
    prefix_hidden.i   [n, dim]
    prefix_logits.i   as logits.i (not for masked language models)
    prompt_gradient, prefix_keys_gradient, prefix_values_gradient
                      of the sum of squares of the text's hidden rows / n, row 2
Prompt and prefix stand before rows 0 to 2 only.

Positions behind a prefix. BERT, RoBERTa, XLM-R and ELECTRA of transformers 5.24
take a cache in an encoder too, and then count positions from its length on: the
text stands at positions 3, 4, ... (RoBERTa: 5, 6, ...), as it did in
transformers 4 and in P-tuning v2. prefix_hidden.i is that. DistilBERT has no
cache and drops the argument without a word. For it the keys and values are put
in front by a patched attention; prefix_hidden.i and prefix_logits.i leave
positions as they are, and prefix_hidden_shifted.i counts them from 3 on like
the others.

PEFT 0.21.2 does the same on the bare models (on DistilBERT without any effect)
and adds 3 to position ids that the caller gives; token types it drops there, so
that they count as 0. Models with a head it refuses to give a prefix, because
transformers 5.24 renamed the argument past_key_values that PEFT looks for; with
prompt rows it keeps their token types.
"""

import contextlib
import sys

import torch
import transformers
from transformers import DynamicCache

import architectures_golden as shared

_SIZES = dict(
    vocab_size=shared.VOCAB, hidden_size=24, intermediate_size=40,
    num_hidden_layers=2, num_attention_heads=3, pad_token_id=0)
_BERT = dict(**_SIZES, max_position_embeddings=shared.CONTEXT)
# Positions start behind the id of padding.
_ROBERTA = {**_SIZES, "max_position_embeddings": shared.CONTEXT + 2,
            "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0,
            "eos_token_id": 2, "layer_norm_eps": 1e-5}
_DISTILBERT = dict(
    vocab_size=shared.VOCAB, dim=24, hidden_dim=40, n_layers=2, n_heads=3,
    max_position_embeddings=shared.CONTEXT, pad_token_id=0)
_ELECTRA = dict(**_BERT, embedding_size=16)
_OLD_BERT = {"gradient_checkpointing": False, "tie_word_embeddings": None,
             "position_embedding_type": "absolute", "add_cross_attention": None,
             "is_decoder": None}

# name -> (class, config, changes that make config.old.json; None: no such file)
ENCODERS = {
    "bert": (transformers.BertModel, transformers.BertConfig(**_BERT),
             _OLD_BERT),
    "bert_mlm": (transformers.BertForMaskedLM,
                 transformers.BertConfig(**_BERT), None),
    "bert_sequence": (transformers.BertForSequenceClassification,
                      transformers.BertConfig(**_BERT, num_labels=3), None),
    "bert_token": (transformers.BertForTokenClassification,
                   transformers.BertConfig(**_BERT, num_labels=5), None),
    "bert_qa": (transformers.BertForQuestionAnswering,
                transformers.BertConfig(**_BERT), None),
    "roberta_mlm": (transformers.RobertaForMaskedLM,
                    transformers.RobertaConfig(**_ROBERTA), _OLD_BERT),
    "roberta_sequence": (
        transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig(**_ROBERTA, num_labels=3), None),
    "xlm_roberta": (transformers.XLMRobertaModel,
                    transformers.XLMRobertaConfig(**_ROBERTA), None),
    "distilbert_mlm": (
        transformers.DistilBertForMaskedLM,
        transformers.DistilBertConfig(**_DISTILBERT),
        {"tie_weights_": True, "tie_word_embeddings": None}),
    "distilbert_sequence": (
        transformers.DistilBertForSequenceClassification,
        transformers.DistilBertConfig(**_DISTILBERT, num_labels=3), None),
    "electra": (transformers.ElectraModel,
                transformers.ElectraConfig(**_ELECTRA), _OLD_BERT),
    "electra_sequence": (
        transformers.ElectraForSequenceClassification,
        transformers.ElectraConfig(**_ELECTRA, num_labels=3), None),
    "electra_discriminator": (transformers.ElectraForPreTraining,
                              transformers.ElectraConfig(**_ELECTRA), None),
}


def make_encoder(name, output, random):
    kind, config, old_spelling = ENCODERS[name]
    directory = output / name
    model = kind(config)
    shared.seed_weights(model, random)
    model = shared.write_directory(model, directory)

    rows = [shared.random_ids(random, n) for n in shared.LENGTHS]
    embeddings = model.get_input_embeddings()
    prompt = shared.normal(
        random, shared.NUM_PROMPT_ROWS, embeddings.weight.shape[1],
        std=embeddings.weight.std().item())
    shape = (model.config.num_hidden_layers, model.config.num_attention_heads,
             shared.NUM_PREFIX_ROWS,
             model.config.hidden_size // model.config.num_attention_heads)
    # About as large as the layers' own.
    keys = shared.normal(random, *shape, std=1.2)
    values = shared.normal(random, *shape, std=1.2)

    tensors = {"prompt": prompt, "prefix_keys": keys, "prefix_values": values}
    for i, ids in enumerate(rows):
        tensors[f"input_ids.{i}"] = ids
        if _has_token_types(model):
            tensors[f"token_type_ids.{i}"] = _token_types(model, ids)[
                "token_type_ids"][0]
        with torch.no_grad():
            tensors.update(_numbers(model, i, ids, prompt, keys, values))
    _add_gradients(model, rows[shared.GRADIENT_ROW], tensors)

    if old_spelling is not None:
        shared.write_old_config(directory, old_spelling)
        with torch.no_grad():
            old = _base(shared.load_with_old_config(kind, directory))(
                input_ids=rows[3][None], **_token_types(model, rows[3]))
        assert torch.equal(old.last_hidden_state[0], tensors["hidden.3"]), name
    shared.write_golden(output, name, tensors, model, __doc__)


def _numbers(model, i, ids, prompt, keys, values):
    given = dict(input_ids=ids[None], **_token_types(model, ids))
    base = _base(model)(**given)
    numbers = {f"hidden.{i}": base.last_hidden_state[0]}
    if _is_bare(model) and getattr(base, "pooler_output", None) is not None:
        numbers[f"pooled.{i}"] = base.pooler_output[0]
    numbers |= _logits(model, f"logits.{i}", given)
    if i < shared.NUM_PROMPTED:
        given = _with_prompt(model, ids, prompt)
        numbers[f"prompt_hidden.{i}"] = _base(model)(
            **given).last_hidden_state[0]
        numbers |= _logits(model, f"prompt_logits.{i}", given)
        numbers |= _prefix_numbers(model, i, ids, keys, values)
    return numbers


def _prefix_numbers(model, i, ids, keys, values):
    numbers = {f"prefix_hidden.{i}": _prefix_hidden(model, ids, keys, values)}
    shifted = _positions(model, ids, keys.shape[2])
    given = dict(input_ids=ids[None], **_token_types(model, ids))
    if _has_cache(model):
        with _prefix_attention(model, keys, values):
            patched = _base(model)(**given, **shifted).last_hidden_state[0]
        # The two ways to put a prefix in front check each other.
        assert torch.allclose(patched, numbers[f"prefix_hidden.{i}"], atol=1e-5)
        with _prefix_attention(model, keys, values):
            numbers |= _logits(model, f"prefix_logits.{i}", given | shifted)
    else:
        with _prefix_attention(model, keys, values):
            numbers |= _logits(model, f"prefix_logits.{i}", given)
            numbers[f"prefix_hidden_shifted.{i}"] = _base(model)(
                **given, **shifted).last_hidden_state[0]
    return numbers


def _prefix_hidden(model, ids, keys, values):
    given = dict(input_ids=ids[None], **_token_types(model, ids))
    if _has_cache(model):
        pairs = [(k[None], v[None]) for k, v in zip(keys, values)]
        return _base(model)(
            **given, cache=DynamicCache(pairs)).last_hidden_state[0]
    with _prefix_attention(model, keys, values):
        return _base(model)(**given).last_hidden_state[0]


@contextlib.contextmanager
def _prefix_attention(model, keys, values):
    """Puts the keys and values in front of those of every self-attention."""
    home = sys.modules[type(model).__module__]
    plain = home.eager_attention_forward
    layers = {}

    def attend(module, query, key, value, *arguments, **options):
        layer = layers.setdefault(module, len(layers)) % len(keys)
        return plain(module, query,
                     torch.cat([keys[layer][None], key], dim=2),
                     torch.cat([values[layer][None], value], dim=2),
                     *arguments, **options)

    home.eager_attention_forward = attend
    try:
        yield
    finally:
        home.eager_attention_forward = plain


def _logits(model, name, given):
    if _is_bare(model):
        return {}
    is_masked_lm = type(model).__name__.endswith("MaskedLM")
    if is_masked_lm and not name.startswith("logits"):
        return {}
    output = model(**given)
    if "start_logits" in output:
        return {name: torch.stack(
            [output.start_logits[0], output.end_logits[0]], dim=-1)}
    return {name: output.logits[0]}


def _with_prompt(model, ids, prompt):
    embedded = model.get_input_embeddings()(ids)
    given = {"inputs_embeds": torch.cat([prompt, embedded])[None]}
    if _has_token_types(model):
        types = _token_types(model, ids)["token_type_ids"]
        zeros = torch.zeros(1, len(prompt), dtype=torch.long)
        given["token_type_ids"] = torch.cat([zeros, types], dim=1)
    return given


def _token_types(model, ids):
    if not _has_token_types(model):
        return {}
    second_half = torch.arange(len(ids)) >= (len(ids) + 1) // 2
    return {"token_type_ids": second_half.long()[None]}


def _positions(model, ids, first):
    if "roberta" in model.config.model_type:
        first += model.config.pad_token_id + 1
    return {"position_ids": torch.arange(first, first + len(ids))[None]}


def _has_token_types(model):
    return getattr(model.config, "type_vocab_size", 1) > 1


def _has_cache(model):
    return model.config.model_type != "distilbert"


def _is_bare(model):
    return type(model).__name__.endswith("Model")


def _base(model):
    return model.base_model


def _add_gradients(model, ids, tensors):
    prompt = tensors["prompt"].clone().requires_grad_()
    hidden = _base(model)(
        **_with_prompt(model, ids, prompt)).last_hidden_state[0, len(prompt):]
    (hidden.square().sum() / len(ids)).backward()
    tensors["prompt_gradient"] = prompt.grad
    keys = tensors["prefix_keys"].clone().requires_grad_()
    values = tensors["prefix_values"].clone().requires_grad_()
    hidden = _prefix_hidden(model, ids, keys, values)
    (hidden.square().sum() / len(ids)).backward()
    tensors["prefix_keys_gradient"] = keys.grad
    tensors["prefix_values_gradient"] = values.grad
