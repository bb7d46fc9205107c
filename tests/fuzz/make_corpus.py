#!/usr/bin/env python3
"""Writes the inputs that fuzzing begins with, most of a few hundred bytes, to
tests/fuzz/corpus/<target>/: right files of every kind, and wrong ones that each
break one rule.

  make_corpus.py          writes them; files of other names stay
  make_corpus.py --check  fails if one that lies there differs
"""

import argparse
import io
import json
import pathlib
import struct
import sys
import zipfile

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# --- safetensors -------------------------------------------------------------

def safetensors(header, data_bytes, length=None):
    text = header if isinstance(header, bytes) else compact(header)
    return (struct.pack("<Q", len(text) if length is None else length) + text +
            bytes(i % 251 for i in range(data_bytes)))


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files():
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4,
             "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
    every, end = {"__metadata__": {"format": "pt"}}, 0
    for dtype, size in sizes.items():
        every[dtype.lower()] = tensor(dtype, [2, 1], end, end + 2 * size)
        end += 2 * size
    one = tensor("F32", [2], 0, 8)
    yield "every_dtype", safetensors(every, end)
    yield "empty", safetensors({}, 0)
    yield "no_elements", safetensors({"a": tensor("F32", [0, 4], 0, 0)}, 0)
    yield "scalar", safetensors({"a": tensor("BF16", [], 0, 2)}, 2)
    yield "not_aligned", safetensors(
        {"a": tensor("U8", [1], 0, 1), "b": tensor("F32", [2], 1, 9)}, 9)
    yield "header_beyond_the_file", safetensors({"a": one}, 8, 1 << 40)
    yield "gap", safetensors({"a": one, "b": tensor("U8", [1], 9, 10)}, 10)
    yield "overlap", safetensors({"a": one, "b": tensor("U8", [4], 4, 8)}, 8)
    yield "beyond_the_end", safetensors({"a": one}, 4)
    yield "overflow", safetensors(
        {"a": tensor("F64", [1 << 62, 1 << 62], 0, 0)}, 0)
    yield "duplicate", safetensors(
        b'{"a":' + compact(one) + b',"a":' + compact(one) + b"}", 8)
    yield "deep", safetensors(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 0)
    yield "unknown_dtype", safetensors({"a": tensor("F8_E5M2", [1], 0, 1)}, 1)


# --- GGUF --------------------------------------------------------------------

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64, F64 = 0, 4, 5, 6, 7, 8, 9, 10, 12
NUMBERS = {U8: "<B", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q",
           F64: "<d"}


def gguf_text(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(kind, value):
    return (gguf_text(value) if kind == STRING
            else struct.pack(NUMBERS[kind], value))


def gguf(entries, tensors=(), version=3, counts=None):
    """entries: (key, kind, value or list); tensors: (name, shape, type, data)"""
    body, data = b"", b""
    for key, kind, value in entries:
        if isinstance(value, list):
            body += gguf_text(key) + struct.pack("<IIQ", ARRAY, kind, len(value))
            body += b"".join(gguf_value(kind, v) for v in value)
        else:
            body += gguf_text(key) + struct.pack("<I", kind)
            body += gguf_value(kind, value)
    for name, shape, kind, content in tensors:
        body += gguf_text(name) + struct.pack("<I", len(shape))
        body += struct.pack(f"<{len(shape)}Q", *shape)
        body += struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    head = struct.pack("<4sIQQ", b"GGUF", version,
                       *(counts or (len(tensors), len(entries))))
    return head + body + bytes(-len(head + body) % 32) + data


def gguf_vocabulary(pre="smollm", merges=("1 2",), special=True):
    entries = [("tokenizer.ggml.model", STRING, "gpt2"),
               ("tokenizer.ggml.pre", STRING, pre),
               ("tokenizer.ggml.tokens", STRING,
                ["<s>", "1", "2", "12", "a", "\u0120"]),
               ("tokenizer.ggml.token_type", I32, [3, 1, 1, 1, 4, 1]),
               ("tokenizer.ggml.merges", STRING, list(merges))]
    if special:
        entries += [("tokenizer.ggml.bos_token_id", U32, 0),
                    ("tokenizer.ggml.eos_token_id", U32, 0),
                    ("tokenizer.ggml.add_bos_token", BOOL, 1),
                    ("tokenizer.chat_template", STRING, "{{ messages }}")]
    return entries


def gguf_pieces():
    return [("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.tokens", STRING,
             ["<unk>", "<s>", "<0x0A>", "\u2581t", "he", "\u2581", "t", "h", "e",
              "  ", "[PAD10]"]),
            ("tokenizer.ggml.token_type", I32,
             [2, 3, 6, 1, 1, 1, 1, 1, 1, 4, 5]),
            ("tokenizer.ggml.scores", F32,
             [0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0]),
            ("tokenizer.ggml.bos_token_id", U32, 1),
            ("tokenizer.ggml.eot_token_id", U32, 1),
            ("tokenizer.ggml.add_space_prefix", BOOL, 1)]


def gguf_files():
    blocks = {0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 3: (32, 20),
              6: (32, 22), 7: (32, 24), 8: (32, 34), 12: (256, 144),
              13: (256, 176), 14: (256, 210)}
    yield "metadata", gguf(
        [("general.alignment", U32, 64), ("a", U8, 1), ("b", F32, 0.5),
         ("c", F64, 2.0), ("d", BOOL, 1), ("e", U64, 1 << 40),
         ("f", F32, [1.0, 2.0]), ("g", BOOL, [0, 1]), ("h", STRING, ["x", ""])])
    for kind, (numbers, size) in blocks.items():
        yield f"type_{kind}", gguf(
            [], [("t", [numbers, 1], kind, bytes(range(1, size + 1)))])
    yield "vocabulary", gguf(gguf_vocabulary(),
                             [("w", [2, 2], 0, bytes(16))])
    yield "gpt2_vocabulary", gguf(gguf_vocabulary("gpt-2", special=False))
    yield "qwen2_vocabulary", gguf(gguf_vocabulary("qwen2", special=False))
    yield "llama3_vocabulary", gguf(gguf_vocabulary("llama-bpe"))
    yield "pieces", gguf(gguf_pieces())
    yield "merge_of_nothing", gguf(gguf_vocabulary(merges=("1 none",)))
    yield "merge_of_one", gguf(gguf_vocabulary(merges=("12",)))
    yield "version_2", gguf([("a", U8, 1)], version=2)
    yield "false_counts", gguf([], counts=(1 << 60, 1 << 60))
    yield "long_string", gguf([("a", STRING, "x")]).replace(
        struct.pack("<Q", 1) + b"x", struct.pack("<Q", 1 << 62) + b"x")
    yield "overflow", gguf([], [("t", [1 << 40, 1 << 40], 0, b"")])
    yield "unknown_type", gguf([], [("t", [256], 10, bytes(84))])
    yield "nested_array", gguf([("a", ARRAY, [])])
    yield "twice", gguf([("a", U8, 1), ("a", U8, 2)])


# --- torch.save --------------------------------------------------------------

def pickle_text(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def pickled_tensor(storage, count, offset, shape, strides):
    def number(n):
        return b"J" + struct.pack("<i", n)

    def numbers(items):
        return b"(" + b"".join(map(number, items)) + b"t"

    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + pickle_text("storage") +
            b"ctorch\nFloatStorage\n" + pickle_text(storage) +
            pickle_text("cpu") + number(count) + b"tQ" + number(offset) +
            numbers(shape) + numbers(strides) +
            b"\x89ccollections\nOrderedDict\n)RtR")


def torch_archive(pickled, **storages):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [("data.pkl", pickled), ("version", b"3\n"),
                              *((f"data/{k[1:]}", v)
                                for k, v in storages.items())]:
            archive.writestr(zipfile.ZipInfo(f"m/{name}"), content)
    return out.getvalue()


def torch_file_files():
    golden = CORPUS.parent.parent / "golden"
    yield "protocol_2", (golden / "torch_file.bin").read_bytes()
    yield "protocol_5", (golden / "torch_file_protocol5.bin").read_bytes()
    tensor_of = {
        "plain": (4, 0, [2, 2], [2, 1]), "turned": (4, 0, [2, 2], [1, 2]),
        "expanded": (4, 1, [3], [0]), "beyond": (4, 3, [2, 2], [2, 1]),
        "negative": (4, -1, [2], [1]), "lies": (1 << 30, 0, [1 << 30], [1]),
        "overflow": (4, 0, [1 << 30] * 6, [1 << 30] * 6)}
    for name, (count, offset, shape, strides) in tensor_of.items():
        yield name, torch_archive(
            b"\x80\x02}" + pickle_text("w") +
            pickled_tensor("0", count, offset, shape, strides) + b"s.",
            _0=bytes(16))
    yield "calls", torch_archive(b"\x80\x02cposix\nsystem\n(" +
                                 pickle_text("true") + b"tR.")
    yield "no_storage", torch_archive(
        b"\x80\x02}" + pickle_text("w") +
        pickled_tensor("9", 4, 0, [4], [1]) + b"s.")
    yield "deep", torch_archive(b"\x80\x02" + b"(" * 2000 + b"t" * 2000 + b".")
    yield "holds_itself", torch_archive(b"\x80\x02]q\x00h\x00a.")


# --- sentencepiece -----------------------------------------------------------

def message_field(number, kind, content):
    return bytes([number << 3 | kind]) + content


def message_text(number, text):
    return message_field(number, 2, bytes([len(text)]) + text)


def sentencepiece_model_files():
    def piece(text, score, kind):
        return message_text(1, message_text(1, text.encode()) +
                            message_field(2, 5, struct.pack("<f", score)) +
                            message_field(3, 0, bytes([kind])))

    pieces = (piece("<unk>", 0, 2) + piece("<s>", 0, 3) +
              piece("\u2581a", -1.5, 1) + piece("<0x0A>", 0, 6))
    trainer = message_text(2, message_field(3, 0, b"\1"))
    yield "unigram", pieces + trainer + message_text(
        3, message_text(1, b"nmt_nfkc") + message_text(2, bytes(4) + b"a\0"))
    yield "bpe", pieces + message_text(2, message_field(3, 0, b"\2"))
    yield "unknown_type", piece("a", 0, 99)
    yield "no_number", piece("a", float("nan"), 1)
    yield "long_piece", message_field(1, 2, b"\xff\xff\xff\x7f")
    yield "endless_number", message_field(1, 0, b"\xff" * 11)
    yield "group", message_field(9, 3, b"") * 200


# --- config.json -------------------------------------------------------------

def model_config_files():
    llama = {"model_type": "llama", "vocab_size": 100, "hidden_size": 48,
             "num_hidden_layers": 2, "num_attention_heads": 6,
             "num_key_value_heads": 2, "intermediate_size": 64,
             "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
             "rope_theta": 1e5, "tie_word_embeddings": True,
             "hidden_act": "silu", "attention_bias": False,
             "bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": None,
             "torch_dtype": "bfloat16"}
    llama3 = dict(llama, head_dim=8, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 128})
    common = {k: llama[k] for k in llama if k not in ("model_type",
                                                      "hidden_act")}
    yield "llama", llama
    yield "llama3", llama3
    yield "rope_parameters", dict(llama, rope_parameters={
        "rope_type": "default", "rope_theta": 5e3, "partial_rotary_factor": 1})
    yield "mistral", dict(llama, model_type="mistral", sliding_window=64)
    yield "qwen2", dict(llama, model_type="qwen2", use_sliding_window=False,
                        max_window_layers=2, sliding_window=None)
    yield "qwen3", dict(llama, model_type="qwen3", head_dim=16)
    yield "gemma2", dict(
        common, model_type="gemma2", head_dim=8, query_pre_attn_scalar=8,
        hidden_activation="gelu_pytorch_tanh", sliding_window=64,
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0)
    yield "gemma3", dict(
        common, model_type="gemma3_text", head_dim=8, query_pre_attn_scalar=8,
        hidden_activation="gelu_pytorch_tanh", rope_local_base_freq=1e4,
        layer_types=["sliding_attention", "full_attention"], sliding_window=64)
    yield "gpt2", {"model_type": "gpt2", "vocab_size": 100, "n_embd": 48,
                   "n_layer": 2, "n_head": 6, "n_positions": 64, "n_ctx": 64,
                   "n_inner": None, "layer_norm_epsilon": 1e-5,
                   "activation_function": "gelu_new"}
    yield "gpt_neox", dict(
        common, model_type="gpt_neox", rotary_pct=0.25, rotary_emb_base=1e4,
        use_parallel_residual=True, layer_norm_eps=1e-5, hidden_act="gelu")
    yield "opt", {"model_type": "opt", "vocab_size": 100, "hidden_size": 48,
                  "num_hidden_layers": 2, "num_attention_heads": 6,
                  "ffn_dim": 64, "max_position_embeddings": 64,
                  "word_embed_proj_dim": 48, "do_layer_norm_before": True,
                  "activation_function": "relu", "enable_bias": True}
    bert = dict(common, model_type="bert", type_vocab_size=2,
                layer_norm_eps=1e-12, hidden_act="gelu",
                position_embedding_type="absolute",
                id2label={"0": "no", "1": "yes"},
                architectures=["BertForSequenceClassification"])
    yield "bert", bert
    yield "roberta", dict(bert, model_type="roberta", pad_token_id=1,
                          architectures=["RobertaForMaskedLM"])
    yield "electra", dict(bert, model_type="electra", embedding_size=16)
    yield "distilbert", {"model_type": "distilbert", "vocab_size": 100,
                         "dim": 48, "n_layers": 2, "n_heads": 6,
                         "hidden_dim": 64, "max_position_embeddings": 64,
                         "activation": "gelu", "sinusoidal_pos_embds": False}
    yield "t5", {"model_type": "t5", "vocab_size": 100, "d_model": 48,
                 "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 6,
                 "num_decoder_layers": 2, "relative_attention_num_buckets": 32,
                 "relative_attention_max_distance": 128,
                 "feed_forward_proj": "gated-gelu", "layer_norm_epsilon": 1e-6,
                 "decoder_start_token_id": 0, "tie_word_embeddings": False}
    yield "unknown", {"model_type": "mamba"}
    yield "huge", dict(llama, vocab_size=1 << 24, hidden_size=1 << 24,
                       intermediate_size=1 << 24, num_hidden_layers=1024)
    yield "beyond_63_bits", dict(llama, hidden_size=(1 << 64) - 1)
    yield "quantized", dict(llama, quantization_config={"bits": 4})
    yield "wrong_kinds", dict(llama, hidden_size="48", rope_theta=[1])


# --- tokenizer.json ----------------------------------------------------------

def tokenizer(model, **parts):
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None, "model": model, **parts}


def added(token_id, content, **settings):
    return {"id": token_id, "content": content, "single_word": False,
            "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **settings}


def template_processing(first, second):
    def special(token):
        return {"SpecialToken": {"id": token, "type_id": 0}}

    return {"type": "TemplateProcessing",
            "single": [special(first), {"Sequence": {"id": "A", "type_id": 0}},
                       special(second)],
            "pair": [special(first), {"Sequence": {"id": "A", "type_id": 0}},
                     special(second), {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                first: {"id": first, "ids": [0], "tokens": [first]},
                second: {"id": second, "ids": [1], "tokens": [second]}}}


def tokenizer_files():
    bpe = {"type": "BPE", "dropout": None, "unk_token": None,
           "continuing_subword_prefix": None, "end_of_word_suffix": None,
           "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
           "vocab": {"<s>": 0, "a": 1, "b": 2, "\u0120": 3, "ab": 4,
                     "\u0120ab": 5}, "merges": [["a", "b"], ["\u0120", "ab"]]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False,
                  "trim_offsets": True, "use_regex": True}
    digits = {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, byte_level]}
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|\\s+(?!\\S)|\\w+"},
         "behavior": "Isolated", "invert": False},
        {"type": "Punctuation", "behavior": "Isolated"}]}
    wordpiece = {"type": "WordPiece", "unk_token": "[UNK]",
                 "continuing_subword_prefix": "##",
                 "max_input_chars_per_word": 100,
                 "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "a": 3,
                           "##b": 4}}
    unigram = {"type": "Unigram", "unk_id": 2, "byte_fallback": False,
               "vocab": [["<s>", 0.0], ["</s>", 0.0], ["<unk>", 0.0],
                         ["\u2581", -1.0], ["a", -2.0], ["\u2581ab", -1.5]]}
    metaspace = {"type": "Metaspace", "replacement": "\u2581",
                 "prepend_scheme": "always", "split": True}
    text = "ab 12 <s> \u00e9\u4e16 ab".encode()
    yield "bpe", tokenizer(bpe, pre_tokenizer=byte_level, decoder=byte_level,
                           added_tokens=[added(0, "<s>")]), text
    yield "digits", tokenizer(bpe, pre_tokenizer=digits), text
    yield "split", tokenizer(bpe, pre_tokenizer=split,
                             normalizer={"type": "NFC"}), text
    yield "fallback", tokenizer(
        dict(bpe, byte_fallback=True, unk_token="<s>", fuse_unk=True),
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "},
             "content": "\u2581"}]},
        decoder={"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"},
             "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}), text
    yield "wordpiece", tokenizer(
        wordpiece, pre_tokenizer={"type": "BertPreTokenizer"},
        normalizer={"type": "BertNormalizer", "clean_text": True,
                    "handle_chinese_chars": True, "strip_accents": None,
                    "lowercase": True},
        post_processor=template_processing("[CLS]", "[SEP]"),
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}), text
    yield "bert_processing", tokenizer(
        wordpiece, pre_tokenizer={"type": "Whitespace"},
        post_processor={"type": "BertProcessing", "sep": ["[SEP]", 1],
                        "cls": ["[CLS]", 0]}), text
    yield "roberta_processing", tokenizer(
        bpe, pre_tokenizer=byte_level,
        post_processor={"type": "RobertaProcessing", "sep": ["<s>", 0],
                        "cls": ["<s>", 0], "trim_offsets": True,
                        "add_prefix_space": True}), text
    yield "unigram", tokenizer(
        unigram, pre_tokenizer=metaspace, decoder=metaspace,
        normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), text
    yield "unigram_words", tokenizer(
        dict(unigram, byte_fallback=True), pre_tokenizer=metaspace,
        added_tokens=[added(0, "<s>", lstrip=True), added(
            6, "new", special=False, normalized=True, single_word=True)]), text
    yield "word_level", tokenizer(
        {"type": "WordLevel", "vocab": {"a": 0, "?": 1}, "unk_token": "?"},
        pre_tokenizer={"type": "WhitespaceSplit"}), text
    yield "merge_of_nothing", tokenizer(dict(bpe, merges=[["a", "zz"]])), text
    yield "merge_as_text", tokenizer(dict(bpe, merges=["a b"])), text
    yield "unk_beyond", tokenizer(dict(unigram, unk_id=99)), text
    yield "truncated", tokenizer(bpe, truncation={
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst",
        "stride": 0}), text
    yield "wrong_regex", tokenizer(bpe, pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Removed",
        "invert": True}), text


# --- templates ---------------------------------------------------------------

def template_files():
    chat = {"messages": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": " Hi \n"}],
            "bos_token": "<s>", "eos_token": "</s>",
            "add_generation_prompt": True}
    yield "fields", "Review: {{ text }}\nIt was {{ label | upper }}", {
        "text": "\u00e4 <b>", "label": "good"}
    yield "chat", (
        "{%- for message in messages %}\n"
        "  {%- if message['role'] == 'tool' %}\n"
        "    {{- raise_exception('no tools') }}\n"
        "  {%- endif %}\n"
        "{{ bos_token }}[{{ message.role }}] "
        "{{ message['content'].strip() }}{{ eos_token }}\n"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"), chat
    yield "namespace", (
        "{% set n = namespace(i=0) %}{% for m in messages if m.content %}"
        "{% set n.i = n.i + loop.index0 %}{{ loop.cycle('a', 'b') }}"
        "{% endfor %}{{ n.i }}"), chat
    yield "macro", (
        "{% macro f(x, y='z') %}{{ x ~ y }}{% endmacro %}"
        "{% call(a) f(1) %}{{ a }}{% endcall %}{{ f(x=messages[0].role) }}"
        "{% filter upper %}abc{% endfilter %}"), chat
    yield "filters", (
        "{{ messages | tojson(indent=2) }}{{ messages | map(attribute='role')"
        " | join(', ') }}{{ [3, 1] | sort | list }}{{ 'a b'.split(' ') }}"
        "{{ messages | selectattr('role', 'equalto', 'user') | list }}"), chat
    yield "expressions", (
        "{{ 1 + 2 * 3 // 2 ** 2 % 5 - 1 / 4 }}{{ 'a' in 'abc' and not false }}"
        "{{ messages[-1:][0]['role'][::-1] }}{{ {'a': [1, 2.5, none]} }}"
        "{{ x if x is defined else 'no' }}{# comment #}{% raw %}{{{% endraw %}"
        ), chat
    yield "mark", (
        "{{ text | mark(E1=subject, E2=[4, 7]) }}"
        "{{ words | mark(A=[0, 2], B=[1, 2]) }}"), {
            "text": "\u00c5ke met Zo\u00eb", "subject": {"begin": 0, "end": 3},
            "words": ["New", "York"]}
    yield "endless_loop", (
        "{% for i in range(99999) %}{% for j in range(99999) %}"
        "{% endfor %}{% endfor %}"), {}
    yield "endless_recursion", (
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), {}
    yield "recursive_loop", (
        "{% for x in tree recursive %}{{ x.a }}{{ loop(x.b) }}{% endfor %}"), {
            "tree": [{"a": 1, "b": [{"a": 2, "b": []}]}]}
    yield "block", "{% block a %}{% set b %}x{% endset %}{{ b }}{% endblock %}", {}
    yield "include", "{% include '/etc/passwd' %}", {}
    yield "syntax_error", "{% if %}", {}


# --- uploads -----------------------------------------------------------------

JSON_LINES, CSV, TSV, JSON_ARRAY, CONLL = range(5)


def upload(kind, file, seed="1"):
    """seed: decides how the file is cut"""
    raw = file if isinstance(file, bytes) else file.encode()
    return bytes([ord("d") + kind]) + seed.encode() + raw


def upload_files():
    yield "json_lines", upload(
        JSON_LINES, '\ufeff{"a": 1, "split": "dev"}\r\n\n{"b": ["\u00e9"]}')
    yield "json_lines_nul", upload(JSON_LINES, '{"a": 1}\0{"b": 2}\n')
    yield "json_lines_wrong", upload(JSON_LINES, '{"a": 1}\n{"a": oops}\n')
    yield "array", upload(
        JSON_ARRAY, '\ufeff[ {"a": "}]\\"\\\\"},\n{\n"b": [{}, 1.5e3]}\n]\n')
    yield "array_empty", upload(JSON_ARRAY, "[\n]")
    yield "array_of_numbers", upload(JSON_ARRAY, "[{},\n1]")
    yield "array_comma", upload(JSON_ARRAY, "[{},]")
    yield "array_goes_on", upload(JSON_ARRAY, "[{}]\n{}")
    yield "array_without_end", upload(JSON_ARRAY, '[{"a": "\n')
    yield "array_of_lines", upload(JSON_ARRAY, '{"a": 1}\n{"a": 2}\n')
    yield "csv", upload(
        CSV, '\ufefftext,split,"a ""b"""\r\n"x, ""y""\nz",dev,\r\n\n1,,""')
    yield "csv_missing_cell", upload(CSV, "a,b,c\n1,2,3\n4,5\n")
    yield "csv_twice", upload(CSV, "a,b,a\n")
    yield "csv_no_name", upload(CSV, "a,,b\n")
    yield "csv_open_quote", upload(CSV, 'a,b\n1,"2\n\r\n')
    yield "csv_after_quote", upload(CSV, 'a,b\n1,"2"3\n')
    yield "csv_within_quote", upload(CSV, 'a,b\n1,2"3"\n')
    yield "csv_latin_1", upload(CSV, "a,b\n1,\u00e9\n".encode("latin-1"))
    yield "csv_semicolons", upload(CSV, "a;b\n1;2\n")
    yield "csv_carriage_returns", upload(CSV, "a,b\r1,2\r")
    yield "tsv", upload(TSV, 'a\tb\nx "y", z\t"1\t""2"""\n')
    yield "conll", upload(
        CONLL, "-DOCSTART- -X- O\n\n# id 1\nEU NNP B-ORG\nsays  VB  O \r\n\n"
        "# VB O\n")
    yield "conll_tabs", upload(CONLL, "# a\nNew York\t\tB-LOC\nx\ty\tO")
    yield "conll_no_tag", upload(CONLL, "a\tO\nb\t\n")
    yield "conll_columns", upload(CONLL, "a X O\n\nb O\n")


def corpus():
    files = {}
    for name, raw in safetensors_files():
        files[f"safetensors/{name}"] = raw
    for name, raw in gguf_files():
        files[f"gguf/{name}"] = raw
    for name, raw in torch_file_files():
        files[f"torch_file/{name}"] = raw
    for name, raw in sentencepiece_model_files():
        files[f"sentencepiece_model/{name}"] = raw
    for name, config in model_config_files():
        files[f"model_config/{name}"] = compact(config)
    for name, json_file, text in tokenizer_files():
        files[f"tokenizer/{name}"] = compact(json_file) + b"\0" + text
    for name, raw in upload_files():
        files[f"upload/{name}"] = raw
    for name, source, fields in template_files():
        files[f"template/{name}"] = source.encode() + b"\0" + compact(fields)
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    different = 0
    for name, raw in corpus().items():
        path = CORPUS / name
        if check:
            if not path.exists() or path.read_bytes() != raw:
                print(f"{path}: not what make_corpus.py writes")
                different += 1
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
