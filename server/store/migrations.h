#ifndef ATTUNE_SERVER_STORE_MIGRATIONS_H_
#define ATTUNE_SERVER_STORE_MIGRATIONS_H_

#include <string_view>

#include "absl/types/span.h"

namespace attune::server {

// The files of migrations/, in order; the build embeds them. The n-th brings a
// schema of version n-1 to n. A released one never changes.
absl::Span<const std::string_view> Migrations();

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_MIGRATIONS_H_
