#ifndef ATTUNE_CLIENT_OUTPUT_CONSOLE_H_
#define ATTUNE_CLIENT_OUTPUT_CONSOLE_H_

#include <functional>
#include <ostream>
#include <string>
#include <string_view>

namespace attune::client {

enum class Style { kBold, kDim, kRed, kGreen, kYellow, kCyan };

// One of the two streams a command writes to, and what stands behind it.
struct Stream {
  std::ostream* stream;  // never null
  bool terminal = false;
  bool colour = false;
  // Columns of the terminal now; only called when there is one.
  std::function<int()> columns = [] { return 80; };

  // `text` in `style`, or as it is without colours.
  std::string Paint(Style style, std::string_view text) const;
};

// Where a command's answers (out) and words about its work (err) go. A value;
// used from one thread.
struct Console {
  Stream out;
  Stream err;
  // Whether line-drawing characters may be used on the terminal.
  bool unicode = false;
};

// The console of this process: out and err with colours and a terminal's width
// where they are terminals. `environment` is getenv: NO_COLOR and TERM=dumb
// switch colours off, LC_ALL, LC_CTYPE or LANG decide about Unicode.
using Environment = std::function<const char*(const char*)>;
Console MakeConsole(std::ostream& out, std::ostream& err, bool out_is_terminal,
                    bool err_is_terminal, const Environment& environment);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_CONSOLE_H_
