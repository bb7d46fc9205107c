#include "client/commands/spec_text.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_join.h"
#include "client/commands/names.h"
#include "client/output/figures.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/text_format.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Settings = std::vector<std::pair<std::string, std::string>>;

// The first name in "{{ name ... }}", or "text".
std::string FirstField(std::string_view source) {
  size_t at = source.find("{{");
  if (at == source.npos) return "text";
  at = source.find_first_not_of("- \t\n", at + 2);
  std::string name;
  for (; at < source.size(); ++at) {
    if (!std::isalnum(static_cast<unsigned char>(source[at])) &&
        source[at] != '_') {
      break;
    }
    name += source[at];
  }
  return name.empty() ? "text" : name;
}

// "TASK_TYPE_REGRESSION" -> "regression": every enum's zero tells its prefix.
std::string EnumText(const google::protobuf::EnumValueDescriptor& value) {
  std::string_view prefix = value.type()->value(0)->name();
  prefix.remove_suffix(
      std::min(prefix.size(), std::string_view("UNSPECIFIED").size()));
  std::string_view name = value.name();
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return LowerWords(name);
}

// One value of a field; `index` is -1 unless it is a list.
std::string ScalarText(const Message& message, const FieldDescriptor& field,
                       int index) {
  const google::protobuf::Reflection& fields = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    return EnumText(index < 0
                        ? *fields.GetEnum(message, &field)
                        : *fields.GetRepeatedEnum(message, &field, index));
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return index < 0 ? fields.GetString(message, &field)
                     : fields.GetRepeatedString(message, &field, index);
  }
  std::string text;
  google::protobuf::TextFormat::PrintFieldValueToString(message, &field, index,
                                                        &text);
  return text;
}

std::string ListText(const Message& message, const FieldDescriptor& field) {
  const int size = message.GetReflection()->FieldSize(message, &field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return std::to_string(size);
  }
  std::string text;
  for (int i = 0; i < size; ++i) {
    text += Concat(i == 0 ? "" : ", ", ScalarText(message, field, i));
  }
  return text;
}

bool IsWrapper(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type()->file()->name() ==
             "google/protobuf/wrappers.proto";
}

void AddSettings(const Message& message, const std::string& prefix,
                 const std::vector<std::string_view>& left_out,
                 Settings& settings) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (std::find(left_out.begin(), left_out.end(), field->name()) !=
        left_out.end()) {
      continue;
    }
    const std::string name = prefix + LowerWords(field->name());
    if (field->is_repeated()) {
      settings.emplace_back(name, ListText(message, *field));
    } else if (IsWrapper(*field)) {
      const Message& value =
          message.GetReflection()->GetMessage(message, field);
      settings.emplace_back(
          name, ScalarText(value, *value.GetDescriptor()->field(0), -1));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddSettings(message.GetReflection()->GetMessage(message, field),
                  name + " ", {}, settings);
    } else {
      settings.emplace_back(name, ScalarText(message, *field, -1));
    }
  }
}

// "2 given templates, patterns, up to 8 instructions, label words, ensembles of
// 4": what a search tries beside the task's own.
std::string SearchText(const v1::TemplateSearch& search) {
  std::vector<std::string> parts;
  if (search.templates_size() > 0) {
    parts.push_back(CountedWord(search.templates_size(), "given template"));
  }
  if (!search.skip_patterns()) parts.emplace_back("patterns");
  // Where it is not set the base model decides.
  if (!search.has_num_generated()) {
    parts.emplace_back("instructions");
  } else if (search.num_generated() > 0) {
    parts.push_back(
        Concat("up to ", CountedWord(search.num_generated(), "instruction")));
  }
  if (search.label_words()) parts.emplace_back("label words");
  if (search.ensemble_size() > 1) {
    parts.push_back(Concat("ensembles of ", search.ensemble_size()));
  }
  return parts.empty() ? "the task's own alone" : absl::StrJoin(parts, ", ");
}

}  // namespace

std::string LowerWords(std::string_view name) {
  std::string words;
  for (const char c : name) {
    words += c == '_' ? ' ' : static_cast<char>(std::tolower(c));
  }
  return words;
}

std::string ExampleCall(const std::string& prompt, const v1::TaskSpec& task) {
  const std::string field = FirstField(task.template_());
  // A list of choices is no option of the command line.
  if (task.type() == v1::TASK_TYPE_MULTIPLE_CHOICE) {
    return Concat("attune predict ", ShortName(prompt), " --input rows.jsonl");
  }
  const bool generation = task.type() == v1::TASK_TYPE_TEXT_GENERATION;
  return Concat("attune ", generation ? "generate " : "predict ",
                ShortName(prompt),
                field == "text" ? std::string(" --text")
                                : Concat(" --field ", field, "="),
                field == "text" ? " \"...\"" : "\"...\"");
}

std::string MethodText(const v1::TuningMethod& method) {
  switch (method.method_case()) {
    case v1::TuningMethod::METHOD_NOT_SET:
      return "prompt tuning";
    case v1::TuningMethod::kPromptTuning: {
      const int rows = method.prompt_tuning().num_virtual_tokens();
      return rows == 0 ? "prompt tuning"
                       : Concat("prompt tuning, ", rows, " rows");
    }
    case v1::TuningMethod::kHardPrompt: {
      const v1::HardPrompt& hard = method.hard_prompt();
      const std::string text = hard.has_template_search()
                                   ? "hard prompt, template search"
                                   : "hard prompt";
      const int shown = hard.num_demonstrations();
      const bool nearest =
          hard.selection() == v1::HardPrompt::SELECTION_NEAREST;
      return shown == 0 ? text
                        : Concat(text, ", ", shown, nearest ? " nearest" : "",
                                 " demonstrations");
    }
    case v1::TuningMethod::kLora: {
      const int rank = method.lora().rank();
      return rank == 0 ? "lora" : Concat("lora, rank ", rank);
    }
    default: {
      const auto* field = v1::TuningMethod::descriptor()->FindFieldByNumber(
          method.method_case());
      return LowerWords(field->name());
    }
  }
}

std::string TaskText(const v1::TaskSpec& task) {
  const std::string name =
      ScalarText(task,
                 *v1::TaskSpec::descriptor()->FindFieldByNumber(
                     v1::TaskSpec::kTypeFieldNumber),
                 /*index=*/-1);
  if (task.labels_size() == 0) return name;
  return Concat(name, ", ", task.labels_size(), " labels");
}

std::string SnapshotText(const v1::DatasetSnapshot& snapshot) {
  return Concat(snapshot.dataset().empty() ? "inline rows" : snapshot.dataset(),
                ", ", FormatCount(snapshot.num_rows()), " rows");
}

Settings SettingsOf(const Message& message,
                    const std::vector<std::string_view>& left_out) {
  Settings settings;
  AddSettings(message, /*prefix=*/"", left_out, settings);
  return settings;
}

Settings MethodSettings(const v1::TuningMethod& method) {
  const FieldDescriptor* field =
      method.GetReflection()->GetOneofFieldDescriptor(
          method, method.GetDescriptor()->oneof_decl(0));
  if (field == nullptr) return {};
  const Message& set = method.GetReflection()->GetMessage(method, field);
  if (!method.hard_prompt().has_template_search()) return SettingsOf(set);
  // Whole templates would fill the page.
  Settings settings = SettingsOf(set, {"template_search"});
  settings.emplace_back("template search",
                        SearchText(method.hard_prompt().template_search()));
  return settings;
}

}  // namespace attune::client
