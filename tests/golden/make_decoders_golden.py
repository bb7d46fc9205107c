"""Numbers of the decoders for make_architectures_golden.py.

For row i of token ids (lengths 1, 5, 17, 40 and the context's 48, one row at a
time) a file holds
    input_ids.i       [n]
    hidden.i          [n, dim]    last_hidden_state: after the final norm, and
                                  after project_out where OPT has one
    logits.i          [n, vocab]
    greedy_ids.i      [k]         what greedy decoding appends, at most 30 and
                                  as far as the context goes; each step is a
                                  whole forward, no cache
    prompt            [4, dim]    rows put in front of the embedded ids. They
                                  are raw rows of inputs_embeds: Gemma scales
                                  embeddings when it looks ids up, not later
    prompt_logits.i   [n, vocab]  of the text's rows, at positions from 4 on
    prefix_keys, prefix_values    [layers, kv_heads, 3, head_dim], as they stand
                                  in a DynamicCache: keys are rotated already
    prefix_logits.i   [n, vocab]  with that cache, at positions from 3 on. The
                                  prefix takes part in a sliding window like any
                                  other positions (PEFT's prefix tuning too)
    prompt_gradient, prefix_keys_gradient, prefix_values_gradient
                                  of the mean cross-entropy of row 2: its row j
                                  predicts id j + 1, 16 terms of 17 ids
Prompt and prefix stand before rows 0 to 2 only.
A sliding window of w lets a position see itself and the w - 1 before it.
"""

import torch
import transformers
from transformers import DynamicCache

import architectures_golden as shared

NUM_GREEDY = 30
MIN_DISTINCT_GREEDY = 5
# Where a tied embedding of the usual size would make every token follow itself.
EMBEDDING_STD = {"gemma3_text": 0.2, "opt": 0.25}

_SIZES = dict(
    vocab_size=shared.VOCAB, hidden_size=32, intermediate_size=48,
    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=shared.CONTEXT, bos_token_id=1, eos_token_id=2,
    pad_token_id=0)
_OPT = dict(
    vocab_size=shared.VOCAB, hidden_size=32, ffn_dim=48, num_hidden_layers=2,
    num_attention_heads=4, max_position_embeddings=shared.CONTEXT,
    pad_token_id=1, bos_token_id=2, eos_token_id=2)
_NEOX = {key: value for key, value in _SIZES.items()
         if key != "num_key_value_heads"}
_NEOX.update(num_attention_heads=2, rope_parameters={
    "rope_type": "default", "rope_theta": 10000.0,
    "partial_rotary_factor": 0.25})
_LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
           "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
_OLD_ROPE = {"rope_parameters": None, "rope_scaling": None,
             "rope_theta": 10000.0}
_OLD_NEOX = {"rope_parameters": None, "rotary_pct": 0.25,
             "rotary_emb_base": 10000}

# name -> (class, config, changes that make config.old.json)
DECODERS = {
    "gpt2": (
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(
            vocab_size=shared.VOCAB, n_embd=32, n_layer=2, n_head=4, n_inner=64,
            n_positions=shared.CONTEXT, bos_token_id=1, eos_token_id=1),
        {"n_ctx": shared.CONTEXT, "tie_word_embeddings": None}),
    "llama": (
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig(**_SIZES, rms_norm_eps=1e-5), _OLD_ROPE),
    # Rotations of wavelength below 8 stay, above 32 slow down by the factor,
    # between 8 and 32 they are mixed: theta 500 has some of each.
    "llama3_rope": (
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig(
            **_SIZES, tie_word_embeddings=True,
            rope_parameters={**_LLAMA3, "rope_theta": 500.0}),
        {"rope_parameters": None, "rope_theta": 500.0,
         "rope_scaling": _LLAMA3}),
    "llama_linear_rope": (
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig(**_SIZES, rope_parameters={
            "rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}),
        {"rope_parameters": None, "rope_theta": 10000.0,
         "rope_scaling": {"type": "linear", "factor": 2.0}}),
    "mistral": (
        transformers.MistralForCausalLM,
        transformers.MistralConfig(**_SIZES, sliding_window=8), _OLD_ROPE),
    "qwen2": (
        transformers.Qwen2ForCausalLM,
        transformers.Qwen2Config(**_SIZES, tie_word_embeddings=True),
        {**_OLD_ROPE, "layer_types": None, "use_sliding_window": False,
         "sliding_window": 8, "max_window_layers": 2}),
    "qwen2_sliding": (
        transformers.Qwen2ForCausalLM,
        transformers.Qwen2Config(**_SIZES, use_sliding_window=True,
                                 sliding_window=8, max_window_layers=1),
        {**_OLD_ROPE, "layer_types": None}),
    "qwen3": (
        transformers.Qwen3ForCausalLM,
        transformers.Qwen3Config(**{**_SIZES, "num_attention_heads": 3,
                                    "num_key_value_heads": 1,
                                    "hidden_size": 24},
                                 head_dim=12, tie_word_embeddings=True),
        {**_OLD_ROPE, "layer_types": None}),
    "gemma3_text": (
        transformers.Gemma3ForCausalLM,
        transformers.Gemma3TextConfig(
            **{**_SIZES, "num_attention_heads": 2, "num_key_value_heads": 1,
               "num_hidden_layers": 3},
            head_dim=12, query_pre_attn_scalar=10, sliding_window=8,
            layer_types=["sliding_attention", "full_attention",
                         "sliding_attention"],
            rope_parameters={
                "sliding_attention": {"rope_type": "default",
                                      "rope_theta": 100.0},
                "full_attention": {"rope_type": "linear", "factor": 2.0,
                                   "rope_theta": 5000.0}}),
        {"rope_parameters": None, "layer_types": None,
         "_sliding_window_pattern": None, "sliding_window_pattern": 2,
         "rope_theta": 5000.0, "rope_local_base_freq": 100.0,
         "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    "gpt_neox": (
        transformers.GPTNeoXForCausalLM,
        transformers.GPTNeoXConfig(**_NEOX, use_parallel_residual=True),
        _OLD_NEOX),
    "gpt_neox_serial": (
        transformers.GPTNeoXForCausalLM,
        transformers.GPTNeoXConfig(**_NEOX, use_parallel_residual=False),
        _OLD_NEOX),
    "opt": (transformers.OPTForCausalLM, transformers.OPTConfig(**_OPT),
            {"tie_word_embeddings": None}),
    "opt_350m": (
        transformers.OPTForCausalLM,
        transformers.OPTConfig(**_OPT, do_layer_norm_before=False,
                               word_embed_proj_dim=16),
        {"tie_word_embeddings": None}),
}


def make_decoder(name, output, random):
    kind, config, old_spelling = DECODERS[name]
    directory = output / name
    model = kind(config)
    shared.seed_weights(model, random, EMBEDDING_STD.get(name, 0.5))
    model = shared.write_directory(model, directory)

    rows = [shared.random_ids(random, n) for n in shared.LENGTHS]
    embeddings = model.get_input_embeddings()
    scale = embeddings(rows[-1]).std().item()
    prompt = shared.normal(random, shared.NUM_PROMPT_ROWS,
                           embeddings.weight.shape[1], std=scale)
    keys, values = _prefix(model, rows[1], random)

    tensors = {"prompt": prompt, "prefix_keys": keys, "prefix_values": values}
    for i, ids in enumerate(rows):
        tensors[f"input_ids.{i}"] = ids
        with torch.no_grad():
            tensors.update(_numbers(model, i, ids, prompt, keys, values))
    if len(tensors["greedy_ids.2"].unique()) < MIN_DISTINCT_GREEDY:
        raise shared.PoorSeed("a greedy continuation that repeats itself")
    _add_gradients(model, rows[shared.GRADIENT_ROW], tensors)

    shared.write_old_config(directory, old_spelling)
    with torch.no_grad():
        old = shared.load_with_old_config(kind, directory)(
            input_ids=rows[3][None]).logits[0]
    assert torch.equal(old, tensors["logits.3"]), name
    shared.write_golden(output, name, tensors, model, __doc__)


def _numbers(model, i, ids, prompt, keys, values):
    numbers = {f"logits.{i}": model(input_ids=ids[None]).logits[0]}
    numbers[f"hidden.{i}"] = model.base_model(
        input_ids=ids[None]).last_hidden_state[0]
    numbers[f"greedy_ids.{i}"] = _greedy(model, ids)
    if i < shared.NUM_PROMPTED:
        numbers[f"prompt_logits.{i}"] = _prompt_logits(model, ids, prompt)
        logits = _prefix_logits(model, ids, keys, values, model.config)
        # PEFT builds its cache without the configuration.
        as_peft = _prefix_logits(model, ids, keys, values, None)
        assert torch.allclose(logits, as_peft, atol=1e-5)
        numbers[f"prefix_logits.{i}"] = logits
    return numbers


def _greedy(model, ids):
    greedy = []
    while len(greedy) < NUM_GREEDY and len(ids) <= shared.CONTEXT:
        greedy.append(shared.greedy_choice(
            model(input_ids=ids[None]).logits[0, -1]))
        ids = torch.cat([ids, greedy[-1]])
    return torch.cat(greedy)


def _prompt_logits(model, ids, prompt):
    embedded = model.get_input_embeddings()(ids)
    return model(inputs_embeds=torch.cat([prompt, embedded])[None]
                 ).logits[0, len(prompt):]


def _prefix(model, ids, random):
    """Keys and values as large as the model's own."""
    with torch.no_grad():
        cache = model(input_ids=ids[None], use_cache=True).cache
    own = [(layer.keys, layer.values) for layer in cache.layers]
    shape = (len(own), own[0][0].shape[1], shared.NUM_PREFIX_ROWS,
             own[0][0].shape[3])
    return tuple(
        shared.normal(random, *shape,
                      std=torch.stack([pair[k] for pair in own]).std().item())
        for k in (0, 1))


def _prefix_logits(model, ids, keys, values, config):
    pairs = [(k[None], v[None]) for k, v in zip(keys, values)]
    cache = DynamicCache(pairs, config=config)
    mask = torch.ones(1, keys.shape[2] + len(ids), dtype=torch.long)
    return model(input_ids=ids[None], cache=cache,
                 attention_mask=mask).logits[0]


def _add_gradients(model, ids, tensors):
    def loss(logits):
        return torch.nn.functional.cross_entropy(logits[:-1], ids[1:])

    prompt = tensors["prompt"].clone().requires_grad_()
    loss(_prompt_logits(model, ids, prompt)).backward()
    tensors["prompt_gradient"] = prompt.grad
    keys = tensors["prefix_keys"].clone().requires_grad_()
    values = tensors["prefix_values"].clone().requires_grad_()
    loss(_prefix_logits(model, ids, keys, values, model.config)).backward()
    tensors["prefix_keys_gradient"] = keys.grad
    tensors["prefix_values_gradient"] = values.grad
