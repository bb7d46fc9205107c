#include "worker/models/unpickler.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/torch_file_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<Unpickler::StateDict> Unpickle(const std::string& pickle) {
  return Unpickler::ReadStateDict(pickle, "m.bin");
}

// The same for a pickle that leaves `value`.
absl::StatusOr<Unpickler::StateDict> UnpickleValue(const std::string& value) {
  return Unpickle(Pickle::Program(value));
}

auto IsCorruptPickle(const std::string& what) {
  return ReasonIs(Reason::kCorruptModel,
                  AllOf(HasSubstr("m.bin: data.pkl at byte"), HasSubstr(what)));
}

TEST(Unpickler, ReadsADictOfTensors) {
  const auto tensors = UnpickleValue(Pickle::Dict(
      {{"w", Pickle::Tensor(Pickle::Storage("HalfStorage", "7", 20), 3, {2, 4},
                            {1, 5})},
       {"b", Pickle::Floats("0", 6)}}));

  ASSERT_OK(tensors);
  ASSERT_EQ(tensors->size(), 2u);
  const Unpickler::Tensor& w = tensors->at("w");
  EXPECT_EQ(w.dtype, at::kHalf);
  EXPECT_EQ(w.storage, "7");
  EXPECT_EQ(w.storage_size, 20);
  EXPECT_EQ(w.offset, 3);
  EXPECT_THAT(w.shape, ElementsAre(2, 4));
  EXPECT_THAT(w.strides, ElementsAre(1, 5));
  EXPECT_EQ(tensors->at("b").dtype, at::kFloat);
}

TEST(Unpickler, ReadsParametersAndTheStateOfDicts) {
  const std::string parameter =
      Pickle::Global("torch._utils", "_rebuild_parameter") +
      Pickle::Tuple({Pickle::Floats("0", 2), "\x88", Pickle::OrderedDict()}) +
      "R";
  const std::string state =
      Pickle::Dict({{"_metadata", Pickle::Dict({{"", "N"}})}});

  const auto tensors =
      UnpickleValue(Pickle::Dict({{"p", parameter}}) + state + "b");

  ASSERT_OK(tensors);
  EXPECT_THAT(tensors->at("p").shape, ElementsAre(2));
}

TEST(Unpickler, RemembersByIndexAndInOrder) {
  // The storage as memo entry 5 and again as the next, which is 1 in number.
  const std::string storage = Pickle::Storage("FloatStorage", "0", 4) + "q\5";
  const auto tensors = UnpickleValue(
      Pickle::Dict({{"a", Pickle::Tensor(storage + "\x94", 0, {4}, {1})},
                    {"b", Pickle::Tensor("h\5", 1, {2}, {1})},
                    {"c", Pickle::Tensor("h\1", 2, {2}, {1})},
                    {"d", Pickle::Tensor(std::string("j\1\0\0\0", 5) + "r" +
                                             RawBytes(uint32_t{70'000}),
                                         3, {1}, {1})}}));

  ASSERT_OK(tensors);
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_EQ(tensors->at(name).storage_size, 4) << name;
  }
}

TEST(Unpickler, ReadsNumbersOfEveryLength) {
  const std::string sizes =
      Pickle::Tuple({std::string("K\xc8"), "M\x34\x12", "J\x78\x56\x34\x12",
                     std::string("\x8a\x00", 2),
                     std::string("\x8a\x05\x00\x00\x00\x00\x01", 7)});
  const std::string tensor =
      Pickle::Global("torch._utils", "_rebuild_tensor_v2") +
      Pickle::Tuple({Pickle::Storage("FloatStorage", "0", 4), Pickle::Int(0),
                     sizes, sizes, "\x89", Pickle::OrderedDict()}) +
      "R";

  const auto tensors = UnpickleValue(Pickle::Dict({{"a", tensor}}));

  ASSERT_OK(tensors);
  EXPECT_THAT(tensors->at("a").shape,
              ElementsAre(200, 0x1234, 0x12345678, 0, int64_t{1} << 32));
}

TEST(Unpickler, RefusesEveryGlobalThatIsNotOnTheList) {
  const std::string call = Pickle::Tuple({Pickle::Text("ls")}) + "R";
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{
           {"os", "system"},
           {"posix", "system"},
           {"builtins", "eval"},
           {"collections", "OrderedDict.fromkeys"},
           {"torch", "load"},
           {"torch", "FloatStorage "},
           {"torch._utils", "_rebuild_tensor_v3"},
           {"", ""}}) {
    EXPECT_THAT(UnpickleValue(Pickle::Global(module, name) + call),
                IsCorruptPickle("at byte 2, opcode 0x63: global '" + module +
                                "." + name + "'"));
    EXPECT_THAT(
        UnpickleValue(Pickle::Text(module) + Pickle::Text(name) + "\x93" +
                      call),
        IsCorruptPickle("opcode 0x93: global '" + module + "." + name + "'"));
  }
}

TEST(Unpickler, EscapesNamesInMessages) {
  EXPECT_THAT(UnpickleValue(Pickle::Global("a\x1b[2J", "\xff")),
              IsCorruptPickle("global 'a\\x1b[2J.\\xff'"));
}

TEST(Unpickler, RefusesEveryOtherOpcode) {
  const std::string allowed =
      "().JKMNQRX]abcehjqrstu}\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95";
  for (int op = 0; op < 256; ++op) {
    if (allowed.find(static_cast<char>(op)) != allowed.npos) continue;
    // Enough on the stack for each of them.
    EXPECT_THAT(UnpickleValue("(}}}" + std::string(1, static_cast<char>(op)) +
                              "1\n1\n"),
                IsCorruptPickle("at byte 6, opcode"))
        << op;
  }
}

TEST(Unpickler, CallsNothingButItsThreeFunctions) {
  EXPECT_THAT(UnpickleValue(Pickle::Text("f") + ")R"),
              IsCorruptPickle("calls what is no function"));
  EXPECT_THAT(UnpickleValue(Pickle::Global("torch", "FloatStorage") + ")R"),
              IsCorruptPickle("calls what is no function"));
  EXPECT_THAT(UnpickleValue(Pickle::OrderedDict() + ")R"),
              IsCorruptPickle("calls what is no function"));
  EXPECT_THAT(UnpickleValue(Pickle::Global("collections", "OrderedDict") +
                            Pickle::Ints({1}) + "R"),
              IsCorruptPickle("OrderedDict with arguments"));
  EXPECT_THAT(
      UnpickleValue(Pickle::Global("collections", "OrderedDict") + "}R"),
      IsCorruptPickle("arguments are no tuple"));
}

TEST(Unpickler, RefusesArgumentsOfOtherTypes) {
  const std::string rebuild =
      Pickle::Global("torch._utils", "_rebuild_tensor_v2");
  const std::string storage = Pickle::Storage("FloatStorage", "0", 4);
  const std::string hooks = Pickle::OrderedDict();
  const std::string one = Pickle::Ints({1});
  const std::string zero = Pickle::Int(0);
  const auto tensor = [&](const std::vector<std::string>& arguments) {
    return UnpickleValue(rebuild + Pickle::Tuple(arguments) + "R");
  };

  EXPECT_THAT(tensor({storage, zero, one, one, "\x89"}),
              IsCorruptPickle("tensor of 5 arguments"));
  EXPECT_THAT(tensor({storage, zero, one, one, "\x89", hooks, "}"}),
              IsCorruptPickle("tensor of 7 arguments"));
  EXPECT_THAT(tensor({zero, zero, one, one, "\x89", hooks}),
              IsCorruptPickle("not a tensor's"));
  EXPECT_THAT(tensor({storage, Pickle::Int(-1), one, one, "\x89", hooks}),
              IsCorruptPickle("not a tensor's"));
  EXPECT_THAT(tensor({storage, zero, one, one, "N", hooks}),
              IsCorruptPickle("not a tensor's"));
  EXPECT_THAT(
      tensor({storage, zero, one, one, "\x89", Pickle::Dict({{"a", "N"}})}),
      IsCorruptPickle("not a tensor's"));
  EXPECT_THAT(tensor({storage, zero, zero, one, "\x89", hooks}),
              IsCorruptPickle("no tuple of up to 8 numbers"));
  EXPECT_THAT(tensor({storage, zero, Pickle::Ints({1, 1, 1, 1, 1, 1, 1, 1, 1}),
                      one, "\x89", hooks}),
              IsCorruptPickle("no tuple of up to 8 numbers"));
  EXPECT_THAT(tensor({storage, zero, one, Pickle::Ints({-1}), "\x89", hooks}),
              IsCorruptPickle("no number from 0 on"));
  EXPECT_THAT(tensor({storage, zero, one, Pickle::Ints({1, 1}), "\x89", hooks}),
              IsCorruptPickle("1 dimensions has 2 strides"));
  EXPECT_THAT(
      UnpickleValue(Pickle::Global("torch._utils", "_rebuild_parameter") +
                    Pickle::Tuple({storage, "\x88", hooks}) + "R"),
      IsCorruptPickle("not a parameter's"));
}

TEST(Unpickler, RefusesPersistentIdsOfAnythingButStorages) {
  const std::string type = Pickle::Global("torch", "FloatStorage");
  const auto id = [&](const std::vector<std::string>& items) {
    return UnpickleValue(Pickle::Tuple(items) + "Q");
  };

  EXPECT_THAT(UnpickleValue("NQ"), IsCorruptPickle("not a storage's"));
  EXPECT_THAT(id({Pickle::Text("module"), type, Pickle::Text("0"),
                  Pickle::Text("cpu"), Pickle::Int(1)}),
              IsCorruptPickle("not a storage's"));
  EXPECT_THAT(id({Pickle::Text("storage"), Pickle::Text("FloatStorage"),
                  Pickle::Text("0"), Pickle::Text("cpu"), Pickle::Int(1)}),
              IsCorruptPickle("not a storage's"));
  EXPECT_THAT(id({Pickle::Text("storage"), type, Pickle::Text("0"),
                  Pickle::Text("cpu"), Pickle::Int(-1)}),
              IsCorruptPickle("not a storage's"));
  EXPECT_THAT(id({Pickle::Text("storage"), type, Pickle::Text("0")}),
              IsCorruptPickle("not a storage's"));
}

TEST(Unpickler, RefusesWhatIsNoStateDict) {
  EXPECT_THAT(UnpickleValue("N"), IsCorruptPickle("holds no dict"));
  EXPECT_THAT(UnpickleValue(Pickle::Floats("0", 1)),
              IsCorruptPickle("holds no dict"));
  EXPECT_THAT(UnpickleValue(Pickle::Dict({{"epoch", Pickle::Int(3)}})),
              IsCorruptPickle("value of 'epoch' is no tensor"));
  EXPECT_THAT(
      UnpickleValue("}" + Pickle::Int(1) + Pickle::Floats("0", 1) + "s"),
      IsCorruptPickle("key of the dict is no string"));
  EXPECT_THAT(UnpickleValue(Pickle::Dict({{"a", Pickle::Floats("0", 1)},
                                          {"a", Pickle::Floats("0", 1)}})),
              IsCorruptPickle("'a' is there twice"));
  EXPECT_THAT(*UnpickleValue("}"), IsEmpty());
}

TEST(Unpickler, RefusesOpcodesThatFindTooLittleOnTheStack) {
  for (const char* value :
       {"R",  "Q",     "b",     "s",    "u",    "t",    "a",
        "e",  "\x85",  "\x86",  "\x87", "\x93", "\x94", "q\1",
        "(R", "(\x85", "(\x94", "}(b",  "}(s",  "}Nu"}) {
    EXPECT_THAT(UnpickleValue(value), IsCorruptPickle("opcode 0x")) << value;
  }
  // An opcode may not reach below the last MARK.
  EXPECT_THAT(UnpickleValue("NN(\x86"), IsCorruptPickle("stack is too short"));
}

TEST(Unpickler, RefusesContainersOfTheWrongType) {
  EXPECT_THAT(UnpickleValue("NNNs"), IsCorruptPickle("item of no dict"));
  EXPECT_THAT(UnpickleValue("](NNu"), IsCorruptPickle("item of no dict"));
  EXPECT_THAT(UnpickleValue("}(Nu"), IsCorruptPickle("key without a value"));
  EXPECT_THAT(UnpickleValue("}Na"), IsCorruptPickle("appends to no list"));
  EXPECT_THAT(UnpickleValue("N}b"),
              IsCorruptPickle("state of what is no dict"));
  EXPECT_THAT(UnpickleValue("}Nb"),
              IsCorruptPickle("state of what is no dict"));
  EXPECT_THAT(UnpickleValue("NN\x93"), IsCorruptPickle("no name of a global"));
}

TEST(Unpickler, RefusesAProgramThatBeginsOrEndsWrongly) {
  EXPECT_THAT(Unpickle(""), IsCorruptPickle("without STOP"));
  EXPECT_THAT(Unpickle("}."), IsCorruptPickle("begins with PROTO"));
  EXPECT_THAT(Unpickle("\x80\x01}."), IsCorruptPickle("protocol 1"));
  EXPECT_THAT(Unpickle("\x80\x06}."), IsCorruptPickle("protocol 6"));
  EXPECT_THAT(Unpickle("\x80\x02\x80\x02}."),
              IsCorruptPickle("begins with PROTO"));
  EXPECT_THAT(Unpickle("\x80\x02}"), IsCorruptPickle("without STOP"));
  EXPECT_THAT(Unpickle("\x80\x02}.x"), IsCorruptPickle("not the end"));
  EXPECT_THAT(Unpickle("\x80\x02}}."), IsCorruptPickle("one value"));
  EXPECT_THAT(Unpickle("\x80\x02."), IsCorruptPickle("one value"));
  EXPECT_THAT(Unpickle("\x80\x02}(."), IsCorruptPickle("one value"));
  EXPECT_THAT(Unpickle("\x80\x04\x95" + RawBytes(uint64_t{3}) + "}."),
              IsCorruptPickle("frame of 3 bytes"));
}

TEST(Unpickler, RefusesLengthsBeyondThePickle) {
  EXPECT_THAT(UnpickleValue("X\xff\xff\xff\xff"), IsCorruptPickle("too early"));
  EXPECT_THAT(UnpickleValue("\x8c\xff"), IsCorruptPickle("too early"));
  EXPECT_THAT(UnpickleValue("\x8a\xff"), IsCorruptPickle("too early"));
  EXPECT_THAT(UnpickleValue("J"), IsCorruptPickle("too early"));
  EXPECT_THAT(UnpickleValue("cos\nsystem"), IsCorruptPickle("without an end"));
}

TEST(Unpickler, LimitsTexts) {
  const std::string text(Unpickler::kMaxTextBytes + 1, 'a');

  EXPECT_THAT(UnpickleValue(Pickle::Text(text)),
              IsCorruptPickle("string of 1025 bytes"));
  EXPECT_THAT(UnpickleValue(Pickle::Global(text, "f")),
              IsCorruptPickle("without an end"));
  EXPECT_THAT(UnpickleValue("\x8a\x09" + std::string(9, '\1')),
              IsCorruptPickle("number of 9 bytes"));
}

TEST(Unpickler, LimitsTheMemo) {
  EXPECT_THAT(UnpickleValue("}r" + RawBytes(~uint32_t{0})),
              IsCorruptPickle("memo entry 4294967295"));
  EXPECT_THAT(UnpickleValue("j" + RawBytes(~uint32_t{0})),
              IsCorruptPickle("no memo entry 4294967295"));
}

TEST(Unpickler, LimitsStackMarksObjectsAndTensors) {
  std::string objects = "N";
  std::string many =
      Pickle::Global("torch._utils", "_rebuild_tensor_v2") +
      Pickle::Tuple({Pickle::Storage("FloatStorage", "0", 1), Pickle::Int(0),
                     ")", ")", "\x89", Pickle::OrderedDict()}) +
      "q\2R" + Pickle::Global("torch._utils", "_rebuild_tensor_v2") + "q\1";
  for (size_t i = 0; i < Unpickler::kMaxTensors; ++i) many += "h\1h\2R";
  for (size_t i = 0; i < Unpickler::kMaxObjects; ++i) objects += "\x85";

  EXPECT_THAT(UnpickleValue(std::string(Unpickler::kMaxStack + 1, 'N')),
              IsCorruptPickle("stack of more than 100000"));
  EXPECT_THAT(UnpickleValue(std::string(Unpickler::kMaxMarks + 1, '(')),
              IsCorruptPickle("nested deeper than 100"));
  EXPECT_THAT(UnpickleValue(objects),
              IsCorruptPickle("more than 1000000 objects"));
  EXPECT_THAT(UnpickleValue(many), IsCorruptPickle("more than 10000 tensors"));
  EXPECT_THAT(Unpickle(std::string(Unpickler::kMaxPickleBytes + 1, '\x80')),
              IsCorruptPickle("pickle of 16777217 bytes"));
}

TEST(Unpickler, DeepNestingAndCyclesAreHarmless) {
  // A dict that holds itself, and a tuple in tuples, 900,000 deep.
  std::string nested = Pickle::Text("deep") + ")";
  for (int i = 0; i < 900'000; ++i) nested += "\x85";

  EXPECT_THAT(UnpickleValue("}q\1" + Pickle::Text("self") + "h\1s"),
              IsCorruptPickle("value of 'self' is no tensor"));
  EXPECT_THAT(UnpickleValue("}" + nested + "s"),
              IsCorruptPickle("value of 'deep' is no tensor"));
}

TEST(Unpickler, EveryTruncationIsRefused) {
  const std::string pickle = Pickle::Program(Pickle::Dict(
      {{"w", Pickle::Floats("0", 6)}, {"b", Pickle::Floats("1", 2)}}));
  for (size_t size = 0; size < pickle.size(); ++size) {
    EXPECT_THAT(Unpickle(pickle.substr(0, size)), IsCorruptPickle("")) << size;
  }
}

TEST(Unpickler, RandomBytesNeitherCrashNorPassWithOtherThanTensors) {
  const std::string pickle = Pickle::Program(Pickle::Dict(
      {{"w", Pickle::Floats("0", 6)}, {"b", Pickle::Floats("1", 2)}}));
  std::mt19937 random(13);
  for (int i = 0; i < 20'000; ++i) {
    std::string spoiled = pickle;
    for (unsigned j = random() % 4 + 1; j > 0; --j) {
      spoiled[random() % spoiled.size()] = static_cast<char>(random());
    }
    const auto tensors = Unpickle(spoiled);
    if (!tensors.ok()) {
      EXPECT_THAT(tensors, IsCorruptPickle(""));
      continue;
    }
    for (const auto& [name, tensor] : *tensors) {
      EXPECT_EQ(tensor.shape.size(), tensor.strides.size());
      EXPECT_GE(tensor.storage_size, 0);
    }
  }
}

}  // namespace
}  // namespace attune::worker
