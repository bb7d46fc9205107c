#include "client/output/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

std::string_view CodeOf(Style style) {
  switch (style) {
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kRed:
      return "31";
    case Style::kGreen:
      return "32";
    case Style::kYellow:
      return "33";
    case Style::kCyan:
      return "36";
  }
  return "0";
}

int TerminalColumns(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return 80;
}

std::string Value(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

// The first of the three that is set decides, as in the C library.
bool IsUtf8(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(Value(environment, name));
    if (!value.empty()) {
      return value.find("utf-8") != value.npos ||
             value.find("utf8") != value.npos;
    }
  }
  return false;
}

}  // namespace

std::string Stream::Paint(Style style, std::string_view text) const {
  if (!colour) return std::string(text);
  return Concat("\x1b[", CodeOf(style), "m", text, "\x1b[0m");
}

Console MakeConsole(std::ostream& out, std::ostream& err, bool out_is_terminal,
                    bool err_is_terminal, const Environment& environment) {
  const bool dumb = Value(environment, "TERM") == "dumb";
  const bool colour = !dumb && Value(environment, "NO_COLOR").empty();
  const auto make = [&](std::ostream& stream, bool terminal, int descriptor) {
    return Stream{&stream, terminal && !dumb, terminal && colour,
                  [descriptor] { return TerminalColumns(descriptor); }};
  };
  return Console{make(out, out_is_terminal, STDOUT_FILENO),
                 make(err, err_is_terminal, STDERR_FILENO),
                 IsUtf8(environment)};
}

}  // namespace attune::client
