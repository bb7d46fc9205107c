#ifndef ATTUNE_SERVER_JOBS_REGISTRATION_H_
#define ATTUNE_SERVER_JOBS_REGISTRATION_H_

#include <cstdint>
#include <utility>

namespace attune::server {

// A place with an owner that keeps places by number: given back, through
// Owner::Remove(int64_t), when this is destroyed or Reset. Must not outlive the
// owner. May move between threads, but is used by one at a time.
template <typename Owner>
class Registration {
 public:
  Registration() = default;
  Registration(Registration&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      Reset();
      owner_ = std::exchange(other.owner_, nullptr);
      id_ = other.id_;
    }
    return *this;
  }
  ~Registration() { Reset(); }

  void Reset() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->Remove(id_);
  }

 private:
  friend Owner;
  Registration(Owner* owner, int64_t id) : owner_(owner), id_(id) {}

  Owner* owner_ = nullptr;
  int64_t id_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_REGISTRATION_H_
