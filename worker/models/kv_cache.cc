#include "worker/models/kv_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

namespace attune::worker {
namespace {

size_t NumBytes(const std::vector<at::Tensor>& tensors) {
  size_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += tensor.nbytes();
  return bytes;
}

}  // namespace

KvBlock::KvBlock(std::vector<at::Tensor> keys, std::vector<at::Tensor> values,
                 int64_t first_layer)
    : keys_(std::move(keys)),
      values_(std::move(values)),
      length_(keys_.empty() ? 0 : keys_[0].size(1)),
      first_layer_(first_layer) {}

bool KvBlock::requires_grad() const {
  const auto is_trained = [](const at::Tensor& tensor) {
    return tensor.requires_grad();
  };
  return std::any_of(keys_.begin(), keys_.end(), is_trained) ||
         std::any_of(values_.begin(), values_.end(), is_trained);
}

size_t KvBlock::num_bytes() const {
  return NumBytes(keys_) + NumBytes(values_);
}

KvSequence::KvSequence(int64_t reserve)
    : capacity_(std::max<int64_t>(reserve, 1)) {}

size_t KvSequence::num_bytes() const {
  return NumBytes(keys_) + NumBytes(values_);
}

void KvSequence::Truncate(int64_t length) {
  length_ = std::clamp<int64_t>(length, 0, length_);
}

at::Tensor KvSequence::keys(int64_t layer) const {
  if (length_ == 0) return at::Tensor();
  return keys_[layer].narrow(1, 0, length_);
}

at::Tensor KvSequence::values(int64_t layer) const {
  if (length_ == 0) return at::Tensor();
  return values_[layer].narrow(1, 0, length_);
}

void KvSequence::Write(int64_t layer, const at::Tensor& keys,
                       const at::Tensor& values) {
  const int64_t count = keys.size(1);
  const size_t index = static_cast<size_t>(layer);
  if (keys_.size() <= index) {
    keys_.resize(index + 1);
    values_.resize(index + 1);
  }
  while (capacity_ < length_ + count) capacity_ *= 2;
  for (auto [stored, fresh] :
       {std::pair(&keys_[index], &keys), std::pair(&values_[index], &values)}) {
    if (!stored->defined() || stored->size(1) < length_ + count) {
      at::Tensor grown = at::empty({fresh->size(0), capacity_, fresh->size(2)},
                                   fresh->options());
      if (stored->defined() && length_ > 0) {
        grown.narrow(1, 0, length_).copy_(stored->narrow(1, 0, length_));
      }
      *stored = std::move(grown);
    }
    stored->narrow(1, length_, count).copy_(*fresh);
  }
}

}  // namespace attune::worker
