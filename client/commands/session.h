#ifndef ATTUNE_CLIENT_COMMANDS_SESSION_H_
#define ATTUNE_CLIENT_COMMANDS_SESSION_H_

#include <functional>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/connection/connection.h"
#include "client/connection/interrupt.h"
#include "client/output/console.h"
#include "proto/cc/clock.h"

namespace attune::client {

// One run of `attune`: what it reads and writes, the options of every command,
// and the connection, opened when a command needs it. Lives as long as the run;
// used from one thread.
class Session {
 public:
  // A command's work, run after the whole command line has been read. Gives
  // the exit code, or an error to print.
  using Action = std::function<absl::StatusOr<int>()>;

  // All must outlive it.
  Session(Console& console, std::istream& in, const Clock& clock,
          Interrupt& interrupt)
      : console_(console), in_(in), clock_(clock), interrupt_(interrupt) {}

  Console& console() { return console_; }
  std::ostream& out() { return *console_.out.stream; }
  std::ostream& err() { return *console_.err.stream; }
  std::istream& in() { return in_; }
  const Clock& clock() const { return clock_; }
  Interrupt& interrupt() { return interrupt_; }
  bool json() const { return output_format == "json"; }

  Connection& connection() {
    if (connection_ == nullptr) {
      connection_ =
          std::make_unique<Connection>(connection_options, interrupt_);
    }
    return *connection_;
  }

  // Set while the command line is read.
  Connection::Options connection_options;
  std::string output_format = "table";
  Action action;

 private:
  Console& console_;
  std::istream& in_;
  const Clock& clock_;
  Interrupt& interrupt_;
  std::unique_ptr<Connection> connection_;
};

// Pages through a list. `call` takes a request, `take` moves a page's items
// out of its response and says whether to go on.
template <typename Request, typename Call, typename Take>
absl::Status ForEachPage(Request request, const Call& call, const Take& take) {
  while (true) {
    auto page = call(request);
    if (!page.ok()) {
      return page.status();
    }
    const std::string next = page->next_page_token();
    if (!take(*page) || next.empty()) {
      return absl::OkStatus();
    }
    request.set_page_token(next);
  }
}

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_SESSION_H_
