#ifndef ATTUNE_WORKER_MODELS_KV_CACHE_H_
#define ATTUNE_WORKER_MODELS_KV_CACHE_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attune::worker {

// Keys and values of a run of positions that starts at position 0, one pair per
// layer: what a cached prompt is. A trained prefix may leave layers out at
// either end: they attend as if it were not there, but the positions behind it
// are the same for all. Immutable, shared by any number of requests.
class KvBlock {
 public:
  // keys, values: per layer from `first_layer` on [kv_heads, length, head_dim],
  // fp32, rotated.
  KvBlock(std::vector<at::Tensor> keys, std::vector<at::Tensor> values,
          int64_t first_layer = 0);

  int64_t length() const { return length_; }
  int64_t first_layer() const { return first_layer_; }
  int64_t num_layers() const { return static_cast<int64_t>(keys_.size()); }
  bool HasLayer(int64_t layer) const {
    return layer >= first_layer_ && layer < first_layer_ + num_layers();
  }
  // Of a layer that it has.
  const at::Tensor& keys(int64_t layer) const {
    return keys_[layer - first_layer_];
  }
  const at::Tensor& values(int64_t layer) const {
    return values_[layer - first_layer_];
  }
  size_t num_bytes() const;
  // Whether they are trained: then they take part in gradients.
  bool requires_grad() const;

 private:
  const std::vector<at::Tensor> keys_;
  const std::vector<at::Tensor> values_;
  const int64_t length_;
  const int64_t first_layer_;
};

// Keys and values of every layer while they are collected.
struct LayerKeys {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
};

// The growing keys and values of one sequence that is being decoded. Forward
// appends to it. Owned by one generation; not thread-safe, and a sequence may
// occur in one segment of a batch only.
class KvSequence {
 public:
  // Room is made for `reserve` positions at once; more is made when needed.
  explicit KvSequence(int64_t reserve = 64);

  int64_t length() const { return length_; }
  // Layers written so far.
  int64_t num_layers() const { return static_cast<int64_t>(keys_.size()); }
  size_t num_bytes() const;
  // Forgets all positions from `length` on. `length` <= length().
  void Truncate(int64_t length);

  // For models. Views of the first length() positions of `layer`:
  // [kv_heads, length, head_dim]; undefined tensors while length() is 0.
  at::Tensor keys(int64_t layer) const;
  at::Tensor values(int64_t layer) const;
  // For models. Writes keys and values [kv_heads, n, head_dim] of `layer` after
  // position length(); Commit(n) counts them once all layers are written.
  void Write(int64_t layer, const at::Tensor& keys, const at::Tensor& values);
  void Commit(int64_t n) { length_ += n; }

 private:
  int64_t capacity_;
  int64_t length_ = 0;
  std::vector<at::Tensor> keys_;  // per layer [kv_heads, capacity, head_dim]
  std::vector<at::Tensor> values_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_KV_CACHE_H_
