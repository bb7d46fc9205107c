#include "proto/cc/ticker.h"

#include <utility>

namespace attune {

Ticker::Ticker(absl::Duration interval, std::function<void()> function)
    : thread_([this, interval, function = std::move(function)] {
        while (!stop_.WaitForNotificationWithTimeout(interval)) function();
      }) {}

Ticker::~Ticker() {
  stop_.Notify();
  thread_.join();
}

}  // namespace attune
