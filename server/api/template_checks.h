#ifndef ATTUNE_SERVER_API_TEMPLATE_CHECKS_H_
#define ATTUNE_SERVER_API_TEMPLATE_CHECKS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "attune/v1/task.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "proto/cc/status.h"

// Checks of the templates that tasks and searches name, as far as they can be
// checked without compiling them, which is the worker's business. Pure.
namespace attune::server {

inline constexpr size_t kMaxTemplateBytes = 65'536;
inline constexpr int kMaxMoreTemplates = 7;
// Of all templates of a list.
inline constexpr size_t kMaxTemplatesBytes = size_t{256} << 10;

// A violation unless `text` has 1 to kMaxTemplateBytes bytes and is not blank.
void CheckTemplate(const std::string& text, std::string_view path,
                   FieldViolations& violations);

// A list of at most `most`, each as above and none there twice, that have at
// most kMaxTemplatesBytes together.
void CheckTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& templates, int most,
    std::string_view path, FieldViolations& violations);

// The templates that answer beside the first one, and whether the task is one
// whose answers can be averaged.
void CheckMoreTemplates(const v1::TaskSpec& task, std::string_view path,
                        FieldViolations& violations);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_TEMPLATE_CHECKS_H_
