#!/usr/bin/env python3
"""Makes tests/golden/tokenizers: small tokenizers of every family, and what
transformers' fast tokenizers do with texts that are hard to cut.

  make_tokenizer_golden.py [--train]

Needs transformers, tokenizers and sentencepiece from PyPI. Computes what is
expected for the vocabulary files that are there. --train makes these anew, on
the sentences below; they come out a little different every time.

Per tokenizer there is a directory with the files that are read where
tokenizer.json is missing, fast/tokenizer.json, which transformers made of
them, and expected.json with ids, offsets (in characters) and type ids for the
texts of texts.json.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2

HERE = pathlib.Path(__file__).resolve().parent / "tokenizers"

CORPUS = """
The harbour master counts the boats every evening before the lamps are lit.
Nobody knew why the old clock in the station had stopped at half past four.
She bought three apples, two pears and a loaf of bread for less than 7.50.
A tokenizer cuts text into pieces; a model sees only the numbers of the pieces.
When the rain began, the children were still playing behind the school.
It's late, we'll go; they've said that you're right and I'd agree, don't you?
The quick answers were wrong and the slow answers were right, said the teacher.
In 2024 about 1,250 people lived on the island, and 98 of them kept bees.
Reading the manual would have saved us an hour, but who reads the manual?
The committee has decided that the bridge will be repaired before the winter.
Every translation loses something and every reader finds something else.
He writes letters to his sister, who lives in the mountains, twice a month.
Der Zug nach München fährt heute wegen der Bauarbeiten über Augsburg.
Die Kinder aßen Äpfel und übten später die größeren Übungen im Garten.
Le café était fermé, alors nous avons traversé la rivière à pied.
Où est passée la clé de la bibliothèque, demanda l'élève à son maître.
El niño mañana irá al colegio con su hermana pequeña y su perro.
Český hráč přešel přes náměstí a řekl, že se brzy vrátí domů.
Тихий вечер опустился на город, и в окнах зажёгся тёплый свет.
Книга лежала на столе рядом с чашкой холодного чая и письмом.
Η θάλασσα ήταν ήρεμη και τα παιδιά έπαιζαν στην άμμο.
今天天气很好，我们一起去公园散步。
老师说这本书很有意思，学生们都想读一读。
明日は朝から雨が降るので、傘を持って行ってください。
오늘은 도서관에서 친구와 함께 책을 읽었습니다.
السلام عليكم، كيف كان يومك في المدرسة اليوم؟
הילדים שיחקו בחוץ עד שירד הערב על העיר.
आज मौसम अच्छा है और बच्चे बाहर खेल रहे हैं।
วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนกันเถอะ
Xin chào, hôm nay trời đẹp và chúng tôi đi dạo trong công viên.
def add(first, second): return first + second  # the sum of two numbers
if (count > 0 && name != "x") { total += count * 2; } else { break; }
https://example.org/a/b?c=1&d=2 and mail to someone@example.org, please.
😀 smile, 🎉 party, 👩‍🚀 astronaut, 👍🏽 thumbs up, 🇩🇪 flag, ❤️ heart.
Temperature: -3.5 °C … 20 °C; price: €12.99 (was £15) – a good deal!
"""

TEXTS = [
    "", " ", "  ", "\n", "\t", "a", "é", "e\u0301", "中", "😀",
    "The harbour master counts the boats.",
    "  leading and trailing  ", "two  three   four    spaces",
    "line one\nline two\n\nline four\n", "crlf\r\nnext\r\n", "cr\ronly",
    "tab\tand\ttab", "a\u00a0b\u2003c\u3000d", "a\u2028b\u2029c\u0085d",
    "today is 今天天气很好 and 明日は雨", "今天天气很好，我们一起去公园散步。",
    "오늘은 도서관에서 책을 읽었습니다", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "السلام عليكم، كيف", "\u202bhello שלום\u202c \u200fabc\u200e",
    "هَذَا نَصٌّ مُشَكَّلٌ", "आज मौसम अच्छा है", "วันนี้อากาศดีมาก",
    "MÜNCHEN ÜBT GRÖSSE, Straße İstanbul ıi ǅ ﬁ ﬀ", "ＦＵＬＬ ｗｉｄｔｈ １２３ ½ ① ℃",
    "café cafe\u0301 cafe\u0301\u0301\u0323", "Z\u0351\u036b\u0343\u036aal\u0322go",
    "👩‍🚀👨‍👩‍👧‍👦👍🏽🇩🇪❤️", "a\u200db\u200cc\u200bd\ufeffe", "\u00adsoft\u00adhyphen",
    "\u0001control\u0007chars\u001b[0m\u007f", "\u0080\u009f",
    "It's they've WE'LL don't I'd 'tis o'clock",
    "1234567890 3.14 1,250 0x1F 1e-9 ٣٤٥ ५६", "don't-stop_the.music!!! (or?) [x] {y}",
    "https://example.org/a/b?c=1&d=2", "if (a>=b&&c!=d){x+=1;}//end",
    "a" * 300, "ab" * 60 + " " + "!" * 40, "中" * 120, " " * 50 + "x",
    "😀" * 30, "-" * 64 + "\n" + "=" * 64,
    "unseen: ᚠᚢᚦ 𓀀 𝔘𝔫𝔦 \U0001F9FF \U0010FFFD \uE000",
    "[CLS] x [SEP] [MASK] [PAD] [UNK]", "<s> x </s> <mask> <pad> <unk>",
    "a<mask>b a <mask> b  <mask>  c", "<|endoftext|> x<|endoftext|>y <|im_start|>user",
    "<extra_id_0> and <extra_id_99> <extra_id_100>", "▁already▁marked ▁ x",
    "##ing Ġword Ċ âĢĻ", "[cls] [Mask] <S> </S>", "<|im_end|> \n<|padding|>",
    "special\u2019quotes\u201d \u2018x\u2019 \u2014 \u2013 \u2026", "\ufffd\ufffdx",
    "ΑΒΓ ΣΑΣ ς σ", "ǆ ǈ ﷺ ㍿ Å Å Ω",
]

PAIRS = [
    ("Where is the bridge?", "The bridge is behind the school, by the river."),
    ("", "only the second"), ("only the first", ""), ("", ""),
    ("今天天气", "the weather 😀 today"), (" lead", " lead"),
    ("trail ", "\ntrail "), ("a <mask> b", "<s>x</s> [SEP] y"),
    ("e\u0301 é", "E\u0301 É"),
]

BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
XLMR_RULES = {"ﬁ": "fi", "ﬀ": "ff", "\u3000": " ", "\u00a0": " ", "½": "1/2",
              "e\u0301": "é", "\u200b": "", "①": "1", "…": "..."}


def lines():
    return [line for line in CORPUS.strip().split("\n")]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n",
                    encoding="utf-8")


def describe(directory, model_type, config, special_tokens_map=None):
    """The small files beside the vocabulary."""
    write_json(directory / "config.json", {"model_type": model_type})
    if config is not None:
        write_json(directory / "tokenizer_config.json", config)
    if special_tokens_map is not None:
        write_json(directory / "special_tokens_map.json", special_tokens_map)


def train_wordpiece(directory, lowercase):
    trained = tokenizers.BertWordPieceTokenizer(lowercase=lowercase)
    trained.train_from_iterator(lines(), vocab_size=620, min_frequency=1,
                                special_tokens=BERT_SPECIALS,
                                show_progress=False)
    vocab = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    (directory / "vocab.txt").write_text(
        "".join(token + "\n" for token, _ in vocab), encoding="utf-8")


def train_bpe(directory, vocab_size, special_tokens, at_end=()):
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(lines(), vocab_size=vocab_size - len(at_end),
                                min_frequency=2,
                                special_tokens=list(special_tokens),
                                show_progress=False)
    trained.save_model(str(directory))
    vocab = json.loads((directory / "vocab.json").read_text("utf-8"))
    for token in at_end:
        vocab[token] = len(vocab)
    write_json(directory / "vocab.json", vocab)


def train_sentencepiece(directory, name, **options):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "corpus.txt").write_text(CORPUS.strip() + "\n", "utf-8")
        rules = options.pop("rules", None)
        if rules is not None:
            def codes(text):
                return " ".join(f"{ord(char):X}" for char in text)
            (scratch / "rules.tsv").write_text(
                "".join(f"{codes(a)}\t{codes(b)}\n" for a, b in rules.items()),
                "utf-8")
            options["normalization_rule_tsv"] = str(scratch / "rules.tsv")
        sentencepiece.SentencePieceTrainer.train(
            input=str(scratch / "corpus.txt"), model_prefix=str(scratch / "m"),
            model_type="unigram", num_threads=1, minloglevel=2,
            hard_vocab_limit=False, **options)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((scratch / "m.model").read_bytes())
        # Where it was trained is nobody's business.
        for field in ("input", "model_prefix"):
            model.trainer_spec.ClearField(field)
        model.normalizer_spec.ClearField("normalization_rule_tsv")
        (directory / name).write_bytes(model.SerializeToString())


def make_bert(directory):
    train_wordpiece(directory, lowercase=True)
    describe(directory, "bert", {"do_lower_case": True,
                                 "tokenizer_class": "BertTokenizer"})


def make_bert_cased(directory):
    train_wordpiece(directory, lowercase=False)
    describe(directory, "electra",
             {"do_lower_case": False, "tokenize_chinese_chars": False,
              "strip_accents": True, "tokenizer_class": "ElectraTokenizerFast"},
             {"cls_token": "[CLS]", "mask_token": "[MASK]",
              "pad_token": "[PAD]", "sep_token": "[SEP]",
              "unk_token": "[UNK]"})


def make_gpt2(directory):
    train_bpe(directory, 520, [], at_end=["<|endoftext|>"])
    describe(directory, "gpt2", None)


def make_opt(directory):
    train_bpe(directory, 520, ["<s>", "<pad>", "</s>", "<unk>"])
    end = {"__type": "AddedToken", "content": "</s>", "lstrip": False,
           "normalized": True, "rstrip": False, "single_word": False}
    describe(directory, "opt",
             {"add_bos_token": True, "add_prefix_space": False,
              "bos_token": end, "eos_token": end, "unk_token": end,
              "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"})


def make_roberta(directory):
    train_bpe(directory, 520, ["<s>", "<pad>", "</s>", "<unk>"],
              at_end=["<mask>"])
    mask = {"content": "<mask>", "lstrip": True, "normalized": False,
            "rstrip": False, "single_word": False}
    describe(directory, "roberta", {"add_prefix_space": True},
             {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>",
              "mask_token": mask, "pad_token": "<pad>", "sep_token": "</s>",
              "unk_token": "<unk>"})


def make_qwen2(directory):
    train_bpe(directory, 520, [])

    def added(content, special):
        return {"content": content, "lstrip": False, "normalized": False,
                "rstrip": False, "single_word": False, "special": special}
    describe(directory, "qwen2",
             {"added_tokens_decoder": {
                 "520": added("<|endoftext|>", True),
                 "521": added("<|im_start|>", True),
                 "522": added("<|im_end|>", True),
                 "523": added("<tool>", False)},
              "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
              "bos_token": None, "eos_token": "<|im_end|>",
              "pad_token": "<|endoftext|>", "unk_token": None,
              "tokenizer_class": "Qwen2Tokenizer"})


def make_gpt_neox(directory):
    train_bpe(directory, 520, ["<|endoftext|>", "<|padding|>"])
    describe(directory, "gpt_neox",
             {"add_prefix_space": False, "add_eos_token": True,
              "tokenizer_class": "GPTNeoXTokenizer"})


def make_t5(directory):
    train_sentencepiece(directory, "spiece.model", vocab_size=560,
                        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                        normalization_rule_name="nmt_nfkc")
    describe(directory, "t5", {"eos_token": "</s>", "extra_ids": 100,
                               "pad_token": "<pad>", "unk_token": "<unk>",
                               "tokenizer_class": "T5Tokenizer"})


def make_mt5(directory):
    train_sentencepiece(directory, "spiece.model", vocab_size=600,
                        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                        normalization_rule_name="identity",
                        user_defined_symbols=["<extra_id_0>", "::"])
    describe(directory, "mt5", {"eos_token": "</s>", "extra_ids": 0,
                                "pad_token": "<pad>", "unk_token": "<unk>",
                                "additional_special_tokens": None,
                                "tokenizer_class": "T5Tokenizer"})


def make_xlm_roberta(directory):
    train_sentencepiece(directory, "sentencepiece.bpe.model", vocab_size=640,
                        unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
                        rules=XLMR_RULES)
    mask = {"content": "<mask>", "lstrip": True, "normalized": True,
            "rstrip": False, "single_word": False}
    describe(directory, "xlm-roberta",
             {"tokenizer_class": "XLMRobertaTokenizer"},
             {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>",
              "mask_token": mask, "pad_token": "<pad>", "sep_token": "</s>",
              "unk_token": "<unk>"})


KINDS = {
    "bert": (make_bert, transformers.BertTokenizer),
    "bert_cased": (make_bert_cased, transformers.BertTokenizer),
    "gpt2": (make_gpt2, transformers.GPT2Tokenizer),
    "gpt_neox": (make_gpt_neox, transformers.GPTNeoXTokenizer),
    "mt5": (make_mt5, transformers.T5Tokenizer),
    "opt": (make_opt, transformers.GPT2Tokenizer),
    "qwen2": (make_qwen2, transformers.Qwen2Tokenizer),
    "roberta": (make_roberta, transformers.RobertaTokenizer),
    "t5": (make_t5, transformers.T5Tokenizer),
    "xlm_roberta": (make_xlm_roberta, transformers.XLMRobertaTokenizer),
}


def encode(tokenizer, first, second, add_special_tokens):
    # As a batch of one: a call with a single pair drops an empty second text.
    result = tokenizer([first], None if second is None else [second],
                       add_special_tokens=add_special_tokens,
                       return_offsets_mapping=True, return_token_type_ids=True,
                       return_attention_mask=False)
    return {"ids": result["input_ids"][0],
            "offsets": [list(pair) for pair in result["offset_mapping"][0]],
            "type_ids": result["token_type_ids"][0]}


def expect(tokenizer):
    inputs = [(text, None) for text in TEXTS] + PAIRS
    return {"vocab_size": len(tokenizer),
            "special_tokens": tokenizer.special_tokens_map,
            "with_special": [encode(tokenizer, *i, True) for i in inputs],
            "without_special": [encode(tokenizer, *i, False) for i in inputs],
            "decoded": [tokenizer.decode(encode(tokenizer, *i, True)["ids"],
                                         skip_special_tokens=True)
                        for i in inputs]}


def dump_rows(value):
    """One row of the lists of lists per line, so that a change shows."""
    parts = []
    for key, item in value.items():
        if isinstance(item, list):
            rows = ",\n".join(json.dumps(row, ensure_ascii=False,
                                         separators=(",", ":"))
                              for row in item)
            parts.append(f"{json.dumps(key)}:[\n{rows}]")
        else:
            parts.append(f"{json.dumps(key)}:"
                         f"{json.dumps(item, ensure_ascii=False)}")
    return "{" + ",\n".join(parts) + "}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--train", action="store_true")
    train = parser.parse_args().train
    transformers.logging.set_verbosity_error()
    HERE.mkdir(exist_ok=True)
    (HERE / "texts.json").write_text(
        dump_rows({"texts": TEXTS, "pairs": [list(p) for p in PAIRS]}),
        "utf-8")
    for name, (make, tokenizer_class) in KINDS.items():
        directory = HERE / name
        if train:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            make(directory)
        shutil.rmtree(directory / "fast", ignore_errors=True)
        tokenizer = tokenizer_class.from_pretrained(str(directory))
        (directory / "expected.json").write_text(dump_rows(expect(tokenizer)),
                                                 "utf-8")
        (directory / "fast").mkdir()
        tokenizer.backend_tokenizer.save(str(directory / "fast/tokenizer.json"),
                                         pretty=False)
        print(f"{name}: {len(tokenizer)} tokens")


if __name__ == "__main__":
    main()
