#ifndef ATTUNE_WORKER_TASKS_SEEDED_RANDOM_H_
#define ATTUNE_WORKER_TASKS_SEEDED_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace attune::worker {

// Random numbers that are the same on every machine and with every standard
// library: splits, row order and initialisation depend on them. SplitMix64
// (Steele, Lea and Flood 2014). Not thread-safe.
class SeededRandom {
 public:
  // Different streams of one seed are independent.
  SeededRandom(uint64_t seed, uint64_t stream);

  uint64_t Next();
  // Uniform in [0, bound); bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1).
  double Uniform();
  // Mean 0, variance 1 (Box and Muller 1958).
  double Normal();

  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[Below(i)]);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SEEDED_RANDOM_H_
