#include "proto/cc/shutdown.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "absl/time/clock.h"

namespace attune {
namespace {

std::atomic<int> signal_event{-1};

void WriteEvent(int event) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event, &one, sizeof(one));
}

void OnSignal(int) {
  const int saved = errno;
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  WriteEvent(signal_event.load());
  errno = saved;
}

}  // namespace

ShutdownSignal::ShutdownSignal()
    : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  signal_event = event_;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

ShutdownSignal::~ShutdownSignal() {
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal_event = -1;
  close(event_);
}

bool ShutdownSignal::Wait(absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (true) {
    const absl::Duration left =
        std::clamp(end - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
    pollfd poll_event = {event_, POLLIN, 0};
    const int ready =
        poll(&poll_event, 1, static_cast<int>(absl::ToInt64Milliseconds(left)));
    if (ready > 0) return true;
    if (absl::Now() >= end) return false;
  }
}

void ShutdownSignal::Trigger() { WriteEvent(event_); }

Watchdog::Watchdog(absl::Duration limit, int exit_code, std::string what)
    : thread_([this, limit, exit_code, what = std::move(what)] {
        if (done_.WaitForNotificationWithTimeout(limit)) return;
        fprintf(stderr, "%s did not end within %s; exiting\n", what.c_str(),
                absl::FormatDuration(limit).c_str());
        _exit(exit_code);
      }) {}

Watchdog::~Watchdog() {
  done_.Notify();
  thread_.join();
}

}  // namespace attune
