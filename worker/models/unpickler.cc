#include "worker/models/unpickler.h"

#include <cstring>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"
#include "worker/models/pickle_objects.h"

namespace attune::worker {
namespace {

// The opcodes that pickles of state dicts use, by Python's pickletools.
enum class PickleOp : uint8_t {
  kMark = '(',
  kEmptyTuple = ')',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

}  // namespace

class Unpickler::Machine {
 public:
  Machine(std::string_view pickle, std::string_view origin)
      : pickle_(pickle), origin_(origin) {}

  absl::StatusOr<StateDict> Run() {
    if (pickle_.size() > kMaxPickleBytes) {
      return Fail(Concat("pickle of ", pickle_.size(), " bytes, up to ",
                         kMaxPickleBytes, " are read"));
    }
    while (position_ < pickle_.size()) {
      op_position_ = position_;
      const auto op =
          static_cast<PickleOp>(static_cast<uint8_t>(pickle_[position_++]));
      if ((op == PickleOp::kProto) != (op_position_ == 0)) {
        return Fail("a pickle begins with PROTO, which occurs once");
      }
      if (op == PickleOp::kStop) return Finish();
      ATTUNE_RETURN_IF_ERROR(Step(op));
    }
    return Fail("ends without STOP");
  }

 private:
  absl::Status Fail(std::string_view what) const {
    const std::string op =
        op_position_ < pickle_.size()
            ? Concat(", opcode 0x",
                     absl::Hex(static_cast<uint8_t>(pickle_[op_position_]),
                               absl::kZeroPad2))
            : "";
    return CorruptFile(
        origin_, Concat("data.pkl at byte ", op_position_, op, ": ", what));
  }

  absl::Status Fail(const absl::Status& what) const {
    return Fail(ToStd(what.message()));
  }

  absl::Status Step(PickleOp op) {
    switch (op) {
      case PickleOp::kProto:
        return Proto();
      case PickleOp::kFrame:
        return Frame();
      case PickleOp::kNone:
        return Push(PickledNone());
      case PickleOp::kNewTrue:
        return Push(true);
      case PickleOp::kNewFalse:
        return Push(false);
      case PickleOp::kBinInt:
        return PushNumber<int32_t>();
      case PickleOp::kBinInt1:
        return PushNumber<uint8_t>();
      case PickleOp::kBinInt2:
        return PushNumber<uint16_t>();
      case PickleOp::kLong1:
        return PushLong();
      case PickleOp::kBinUnicode:
        return PushText<uint32_t>();
      case PickleOp::kShortBinUnicode:
        return PushText<uint8_t>();
      case PickleOp::kGlobal:
        return Global();
      case PickleOp::kStackGlobal:
        return StackGlobal();
      case PickleOp::kBinPut:
        return PutAt<uint8_t>();
      case PickleOp::kLongBinPut:
        return PutAt<uint32_t>();
      case PickleOp::kMemoize:
        return Memoize(memo_.size());
      case PickleOp::kBinGet:
        return GetAt<uint8_t>();
      case PickleOp::kLongBinGet:
        return GetAt<uint32_t>();
      case PickleOp::kBinPersId:
        return LoadStorage();
      case PickleOp::kReduce:
        return Reduce();
      case PickleOp::kBuild:
        return Build();
      default:
        return StepContainer(op);
    }
  }

  absl::Status StepContainer(PickleOp op) {
    switch (op) {
      case PickleOp::kMark:
        return Mark();
      case PickleOp::kEmptyTuple:
        return Push(PickledTuple());
      case PickleOp::kEmptyList:
        return Push(PickledList());
      case PickleOp::kEmptyDict:
        return Push(PickledDict());
      case PickleOp::kTuple:
        return MakeTuple(PopToMark());
      case PickleOp::kTuple1:
        return MakeTuple(PopMany(1));
      case PickleOp::kTuple2:
        return MakeTuple(PopMany(2));
      case PickleOp::kTuple3:
        return MakeTuple(PopMany(3));
      case PickleOp::kAppend:
        return Append(PopMany(1));
      case PickleOp::kAppends:
        return Append(PopToMark());
      case PickleOp::kSetItem:
        return SetItems(PopMany(2));
      case PickleOp::kSetItems:
        return SetItems(PopToMark());
      default:
        return Fail("no state dict needs this opcode");
    }
  }

  // Reading the pickle.

  template <typename T>
  absl::StatusOr<T> Read() {
    if (pickle_.size() - position_ < sizeof(T)) return Fail("ends too early");
    T value;
    std::memcpy(&value, pickle_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  absl::StatusOr<std::string_view> ReadText(size_t bytes) {
    if (bytes > pickle_.size() - position_) return Fail("ends too early");
    if (bytes > kMaxTextBytes) {
      return Fail(Concat("string of ", bytes, " bytes"));
    }
    const std::string_view text = pickle_.substr(position_, bytes);
    position_ += bytes;
    return text;
  }

  absl::StatusOr<std::string_view> ReadLine() {
    const std::string_view rest = pickle_.substr(position_, kMaxTextBytes + 1);
    const size_t end = rest.find('\n');
    if (end == rest.npos) return Fail("name without an end");
    position_ += end + 1;
    return rest.substr(0, end);
  }

  absl::Status Proto() {
    ATTUNE_ASSIGN_OR_RETURN(const uint8_t protocol, Read<uint8_t>());
    if (protocol < 2 || protocol > 5) {
      return Fail(Concat("protocol ", protocol, " is none of 2 to 5"));
    }
    return absl::OkStatus();
  }

  absl::Status Frame() {
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t bytes, Read<uint64_t>());
    if (bytes > pickle_.size() - position_) {
      return Fail(Concat("frame of ", bytes, " bytes"));
    }
    return absl::OkStatus();
  }

  // Stack, marks and memo.

  absl::Status PushRef(PickleRef object) {
    if (stack_.size() >= kMaxStack) {
      return Fail(Concat("stack of more than ", kMaxStack));
    }
    stack_.push_back(object);
    return absl::OkStatus();
  }

  absl::Status Push(absl::StatusOr<PickledObject> object) {
    if (!object.ok()) return Fail(object.status());
    return PushMade(objects_.Add(*std::move(object)));
  }

  absl::Status PushMade(const absl::StatusOr<PickleRef>& object) {
    return object.ok() ? PushRef(*object) : Fail(object.status());
  }

  absl::Status Mark() {
    if (marks_.size() >= kMaxMarks) {
      return Fail(Concat("nested deeper than ", kMaxMarks));
    }
    marks_.push_back(stack_.size());
    return absl::OkStatus();
  }

  // What lies above the last mark, which alone an opcode may touch.
  size_t Depth() const {
    return stack_.size() - (marks_.empty() ? 0 : marks_.back());
  }

  absl::StatusOr<PickleRefs> PopMany(size_t count) {
    if (Depth() < count) return Fail("stack is too short");
    PickleRefs items(stack_.end() - count, stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  absl::StatusOr<PickleRefs> PopToMark() {
    if (marks_.empty()) return Fail("there is no MARK");
    auto items = PopMany(Depth());
    marks_.pop_back();
    return items;
  }

  absl::StatusOr<PickleRef> Top() const {
    if (Depth() == 0) return Fail("stack is too short");
    return stack_.back();
  }

  template <typename Index>
  absl::Status PutAt() {
    ATTUNE_ASSIGN_OR_RETURN(const Index index, Read<Index>());
    return Memoize(index);
  }

  absl::Status Memoize(size_t index) {
    ATTUNE_ASSIGN_OR_RETURN(const PickleRef object, Top());
    if (index >= kMaxMemo) return Fail(Concat("memo entry ", index));
    memo_[index] = object;
    return absl::OkStatus();
  }

  template <typename Index>
  absl::Status GetAt() {
    ATTUNE_ASSIGN_OR_RETURN(const Index index, Read<Index>());
    const auto it = memo_.find(index);
    if (it == memo_.end()) return Fail(Concat("no memo entry ", index));
    return PushRef(it->second);
  }

  // Plain values and containers.

  template <typename T>
  absl::Status PushNumber() {
    ATTUNE_ASSIGN_OR_RETURN(const T value, Read<T>());
    return Push(static_cast<int64_t>(value));
  }

  // Little-endian two's complement of as many bytes as it says.
  absl::Status PushLong() {
    ATTUNE_ASSIGN_OR_RETURN(const uint8_t count, Read<uint8_t>());
    ATTUNE_ASSIGN_OR_RETURN(const std::string_view bytes, ReadText(count));
    if (count > sizeof(int64_t)) {
      return Fail(Concat("number of ", count, " bytes"));
    }
    const bool negative = count > 0 && (bytes.back() & 0x80) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = count; i-- > 0;) {
      value = value << 8 | static_cast<uint8_t>(bytes[i]);
    }
    return Push(static_cast<int64_t>(value));
  }

  template <typename Length>
  absl::Status PushText() {
    ATTUNE_ASSIGN_OR_RETURN(const Length length, Read<Length>());
    ATTUNE_ASSIGN_OR_RETURN(const std::string_view text, ReadText(length));
    return Push(std::string(text));
  }

  absl::Status MakeTuple(absl::StatusOr<PickleRefs> items) {
    if (!items.ok()) return items.status();
    return Push(PickledTuple{*std::move(items)});
  }

  absl::Status Append(const absl::StatusOr<PickleRefs>& items) {
    if (!items.ok()) return items.status();
    ATTUNE_ASSIGN_OR_RETURN(const PickleRef list, Top());
    if (objects_.As<PickledList>(list) == nullptr) {
      return Fail("appends to no list");
    }
    return absl::OkStatus();
  }

  absl::Status SetItems(const absl::StatusOr<PickleRefs>& items) {
    if (!items.ok()) return items.status();
    ATTUNE_ASSIGN_OR_RETURN(const PickleRef top, Top());
    auto* dict = objects_.As<PickledDict>(top);
    if (dict == nullptr) return Fail("sets an item of no dict");
    if (items->size() % 2 != 0) return Fail("key without a value");
    for (size_t i = 0; i < items->size(); i += 2) {
      dict->items.push_back({(*items)[i], (*items)[i + 1]});
    }
    return absl::OkStatus();
  }

  // Names and what they stand for.

  absl::Status Global() {
    ATTUNE_ASSIGN_OR_RETURN(const std::string_view module, ReadLine());
    ATTUNE_ASSIGN_OR_RETURN(const std::string_view name, ReadLine());
    return Push(PickleObjects::Global(module, name));
  }

  absl::Status StackGlobal() {
    ATTUNE_ASSIGN_OR_RETURN(const PickleRefs pair, PopMany(2));
    const auto* module = objects_.As<std::string>(pair[0]);
    const auto* name = objects_.As<std::string>(pair[1]);
    if (module == nullptr || name == nullptr) {
      return Fail("no name of a global");
    }
    return Push(PickleObjects::Global(*module, *name));
  }

  absl::Status LoadStorage() {
    ATTUNE_ASSIGN_OR_RETURN(const PickleRefs id, PopMany(1));
    return Push(objects_.Storage(id[0]));
  }

  absl::Status Reduce() {
    ATTUNE_ASSIGN_OR_RETURN(const PickleRefs call, PopMany(2));
    return PushMade(objects_.Call(call[0], call[1]));
  }

  // The state of an OrderedDict is its attributes: a module's state dict has
  // `_metadata`, the versions of its parts, which say nothing about tensors.
  absl::Status Build() {
    ATTUNE_ASSIGN_OR_RETURN(const PickleRefs state, PopMany(1));
    ATTUNE_ASSIGN_OR_RETURN(const PickleRef object, Top());
    if (objects_.As<PickledDict>(object) == nullptr ||
        objects_.As<PickledDict>(state[0]) == nullptr) {
      return Fail("state of what is no dict");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StateDict> Finish() {
    if (position_ != pickle_.size()) return Fail("STOP is not the end");
    if (!marks_.empty() || stack_.size() != 1) {
      return Fail("leaves other than one value");
    }
    absl::StatusOr<StateDict> result = objects_.ToStateDict(stack_[0]);
    if (!result.ok()) return Fail(result.status());
    return result;
  }

  const std::string_view pickle_;
  const std::string_view origin_;
  size_t position_ = 0;
  size_t op_position_ = 0;
  PickleObjects objects_;
  PickleRefs stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<size_t, PickleRef> memo_;
};

absl::StatusOr<Unpickler::StateDict> Unpickler::ReadStateDict(
    std::string_view pickle, std::string_view origin) {
  return Machine(pickle, origin).Run();
}

}  // namespace attune::worker
