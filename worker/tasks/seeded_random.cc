#include "worker/tasks/seeded_random.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace attune::worker {
namespace {

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

SeededRandom::SeededRandom(uint64_t seed, uint64_t stream)
    : state_(Mix(Mix(seed + 0x9e3779b97f4a7c15ULL) ^
                 (stream * 0xd1342543de82ef95ULL))) {}

uint64_t SeededRandom::Next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  return Mix(state_);
}

uint64_t SeededRandom::Below(uint64_t bound) {
  // Values at the end that would favour small results are drawn again.
  const uint64_t limit = std::numeric_limits<uint64_t>::max() -
                         std::numeric_limits<uint64_t>::max() % bound;
  uint64_t value = Next();
  while (value >= limit) value = Next();
  return value % bound;
}

double SeededRandom::Uniform() {
  return static_cast<double>(Next() >> 11) * 0x1.0p-53;
}

double SeededRandom::Normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform());
}

}  // namespace attune::worker
