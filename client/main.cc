// attune: the command line of Attune.

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "client/commands/attune_cli.h"
#include "client/commands/session.h"
#include "client/connection/interrupt.h"
#include "client/output/console.h"
#include "client/output/error_text.h"
#include "proto/cc/clock.h"

namespace {

// Waits for Ctrl-C on a thread of its own: the first one asks what runs to
// stop, the second one (or the first, when nothing listens) ends the process.
// SIGUSR1 ends the thread.
class SignalThread {
 public:
  // To be made before any other thread: they inherit what is blocked.
  explicit SignalThread(attune::client::Interrupt& interrupt) {
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
      sigaddset(&signals_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this, &interrupt] {
      int signal = 0;
      while (sigwait(&signals_, &signal) == 0 && signal != SIGUSR1) {
        if (interrupt.raised() || !interrupt.Raise()) {
          _exit(attune::client::kExitInterrupted);
        }
      }
    });
  }
  ~SignalThread() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  sigset_t signals_;
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  attune::client::Interrupt interrupt;
  const SignalThread signals(interrupt);
  attune::client::Console console = attune::client::MakeConsole(
      std::cout, std::cerr, isatty(STDOUT_FILENO) != 0,
      isatty(STDERR_FILENO) != 0, std::getenv);
  const attune::SystemClock clock;
  attune::client::Session session(console, std::cin, clock, interrupt);
  return attune::client::RunAttune(
      std::vector<std::string>(argv + 1, argv + argc), session);
}
