"""Numbers of the encoder-decoders for make_architectures_golden.py.

For row i of token ids (lengths 1, 5, 17, 40, 48, one row at a time) a file
holds
    input_ids.i          [n]
    decoder_input_ids.i  [m]         m = 1, 3, 9, 20, 30; the first is
                                     decoder_start_token_id
    encoder_hidden.i     [n, dim]    after the encoder's final norm
    decoder_hidden.i     [m, dim]    after the decoder's final norm, before the
                                     scaling of a tied head
    logits.i             [m, vocab]
    greedy_ids.i         [20]        what follows decoder_start_token_id
                                     greedily, past any end; whole forwards
    prompt               [4, dim]    rows in front of the encoder's embedded ids
    prompt_logits.i      [m, vocab]
    prefix_keys, prefix_values       [decoder layers, heads, 3, d_kv] in front
                                     of the decoder's self-attention
    prefix_logits.i      [m, vocab]
    prompt_gradient, prefix_keys_gradient, prefix_values_gradient
                                     of the mean cross-entropy of row 2: row j
                                     of the decoder predicts its id j + 1, 8
                                     terms
Prompt and prefix belong to rows 0 to 2 only.
Rows of a prefix count as positions of the decoder: the relative position bias
sees them at 0 to 2 and the ids from 3 on.

PEFT 0.21.2's prefix tuning leaves the encoder alone and gives the decoder's
self-attention a prefix, cross-attention none; that is computed here. Its matrix
[3, 2 * layers * dim] is doubled for cross-attention and cut in fours, of which
two are thrown away: layer l of L gets the pair of keys and values number
2 * l % L, not l. Its prompt tuning puts rows before the encoder's input only.

Heads. transformers 5.24 writes tie_word_embeddings true for every T5 and mT5
and still saves lm_head.weight beside shared.weight where they differ (t5_v11,
mt5); with both in the file it does not tie. Whether hidden states are scaled by
dim ** -0.5 before the head is scale_decoder_outputs in T5's configuration,
where transformers 4 had tie_word_embeddings; mT5 never scales.
"""

import torch
import transformers
from transformers import DynamicCache, EncoderDecoderCache

import architectures_golden as shared

DECODER_LENGTHS = (1, 3, 9, 20, 30)
NUM_GREEDY = 20
MIN_DISTINCT_GREEDY = 5

_SIZES = dict(
    vocab_size=shared.VOCAB, d_model=24, d_kv=8, d_ff=32, num_layers=2,
    num_heads=3, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    # Few and near, so that rows of 48 reach the last one.
    relative_attention_num_buckets=8, relative_attention_max_distance=20)

_OLD_T5 = {"dense_act_fn": None, "is_gated_act": None,
           "scale_decoder_outputs": None, "tie_word_embeddings": None,
           "classifier_dropout": None, "n_positions": 512}

# name -> (class, config, changes that make config.old.json)
ENCODER_DECODERS = {
    "t5": (transformers.T5ForConditionalGeneration,
           transformers.T5Config(**_SIZES, feed_forward_proj="relu"),
           _OLD_T5),
    "t5_v11": (
        transformers.T5ForConditionalGeneration,
        transformers.T5Config(
            **{**_SIZES, "d_kv": 6, "num_layers": 1}, num_decoder_layers=2,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        {**_OLD_T5, "tie_word_embeddings": False}),
    "mt5": (
        transformers.MT5ForConditionalGeneration,
        transformers.MT5Config(**_SIZES, num_decoder_layers=1,
                               feed_forward_proj="gated-gelu"),
        {**_OLD_T5, "n_positions": None, "tie_word_embeddings": False}),
}


def make_encoder_decoder(name, output, random):
    kind, config, old_spelling = ENCODER_DECODERS[name]
    directory = output / name
    model = kind(config)
    if name != "t5":  # published checkpoints have a head of their own
        model.lm_head.weight = torch.nn.Parameter(
            torch.empty_like(model.lm_head.weight))
    shared.seed_weights(model, random)
    model = shared.write_directory(model, directory)
    is_tied = model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr()
    assert is_tied == (name == "t5")

    rows = [shared.random_ids(random, n) for n in shared.LENGTHS]
    decoder_rows = [
        torch.cat([torch.zeros(1, dtype=torch.long),
                   shared.random_ids(random, m - 1)]) for m in DECODER_LENGTHS]
    prompt = shared.normal(random, shared.NUM_PROMPT_ROWS, config.d_model,
                           std=model.shared.weight.std().item())
    shape = (config.num_decoder_layers, config.num_heads,
             shared.NUM_PREFIX_ROWS, config.d_kv)
    keys = shared.normal(random, *shape, std=1.2)
    values = shared.normal(random, *shape, std=1.2)

    tensors = {"prompt": prompt, "prefix_keys": keys, "prefix_values": values}
    for i, (ids, decoder_ids) in enumerate(zip(rows, decoder_rows)):
        tensors[f"input_ids.{i}"] = ids
        tensors[f"decoder_input_ids.{i}"] = decoder_ids
        with torch.no_grad():
            _add_numbers(model, i, tensors)
    if len(tensors["greedy_ids.2"].unique()) < MIN_DISTINCT_GREEDY:
        raise shared.PoorSeed("a greedy continuation that repeats itself")
    _add_gradients(model, tensors)

    shared.write_old_config(directory, old_spelling)
    with torch.no_grad():
        old = shared.load_with_old_config(kind, directory)(
            input_ids=rows[3][None], decoder_input_ids=decoder_rows[3][None])
    assert torch.equal(old.logits[0], tensors["logits.3"]), name
    shared.write_golden(output, name, tensors, model, __doc__)


def _add_numbers(model, i, tensors):
    ids = tensors[f"input_ids.{i}"]
    given = dict(input_ids=ids[None],
                 decoder_input_ids=tensors[f"decoder_input_ids.{i}"][None])
    output = model(**given, output_hidden_states=True)
    tensors[f"encoder_hidden.{i}"] = output.encoder_last_hidden_state[0]
    tensors[f"decoder_hidden.{i}"] = output.decoder_hidden_states[-1][0]
    tensors[f"logits.{i}"] = output.logits[0]
    tensors[f"greedy_ids.{i}"] = _greedy(model, ids)
    if i >= shared.NUM_PROMPTED:
        return
    tensors[f"prompt_logits.{i}"] = _prompt_logits(
        model, i, tensors, tensors["prompt"])
    tensors[f"prefix_logits.{i}"] = _prefix_logits(
        model, i, tensors, tensors["prefix_keys"], tensors["prefix_values"])


def _greedy(model, ids):
    ids_so_far = torch.zeros(1, dtype=torch.long)
    for _ in range(NUM_GREEDY):
        logits = model(input_ids=ids[None],
                       decoder_input_ids=ids_so_far[None]).logits[0, -1]
        ids_so_far = torch.cat([ids_so_far, shared.greedy_choice(logits)])
    return ids_so_far[1:]


def _prompt_logits(model, i, tensors, prompt):
    embedded = model.shared(tensors[f"input_ids.{i}"])
    return model(
        inputs_embeds=torch.cat([prompt, embedded])[None],
        decoder_input_ids=tensors[f"decoder_input_ids.{i}"][None]).logits[0]


def _prefix_logits(model, i, tensors, keys, values):
    pairs = [(k[None], v[None]) for k, v in zip(keys, values)]
    return model(
        input_ids=tensors[f"input_ids.{i}"][None],
        decoder_input_ids=tensors[f"decoder_input_ids.{i}"][None],
        cache=EncoderDecoderCache(DynamicCache(pairs), DynamicCache())
    ).logits[0]


def _add_gradients(model, tensors):
    row = shared.GRADIENT_ROW
    ids = tensors[f"decoder_input_ids.{row}"]

    def loss(logits):
        return torch.nn.functional.cross_entropy(logits[:-1], ids[1:])

    prompt = tensors["prompt"].clone().requires_grad_()
    loss(_prompt_logits(model, row, tensors, prompt)).backward()
    tensors["prompt_gradient"] = prompt.grad
    keys = tensors["prefix_keys"].clone().requires_grad_()
    values = tensors["prefix_values"].clone().requires_grad_()
    loss(_prefix_logits(model, row, tensors, keys, values)).backward()
    tensors["prefix_keys_gradient"] = keys.grad
    tensors["prefix_values_gradient"] = values.grad
