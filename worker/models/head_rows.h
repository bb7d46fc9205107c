#ifndef ATTUNE_WORKER_MODELS_HEAD_ROWS_H_
#define ATTUNE_WORKER_MODELS_HEAD_ROWS_H_

#include <cstdint>

namespace attune::worker::cpu_rows {

// Rows of a merged projection [rows, (heads + 2 kv_heads) * head_dim] against
// q [kv_heads, rows * group, head_dim], k and v [kv_heads, rows, head_dim],
// where group = heads / kv_heads. The first `rotary_dim` elements of q and k
// are rotated by the row's angles, q is multiplied by `scale` besides. Number:
// float, or uint16_t for bits of bf16, which are computed with as fp32. As in
// cpu_rows.h, the loops work on the rows [begin, end).
template <typename Number>
struct SplitHeadsArgs {
  Number* qkv;
  Number* q;
  Number* k;
  Number* v;
  const float* cosines;  // [rows, rotary_dim / 2]
  const float* sines;
  int64_t rows;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t rotary_dim;  // 0: nothing is rotated
  float scale;
};
void SplitHeads(const SplitHeadsArgs<float>& args, int64_t begin, int64_t end);
void SplitHeads(const SplitHeadsArgs<uint16_t>& args, int64_t begin,
                int64_t end);

// The transpose: gradients of q, k, v into the gradient of qkv.
void SplitHeadsBackward(const SplitHeadsArgs<float>& args, int64_t begin,
                        int64_t end);
void SplitHeadsBackward(const SplitHeadsArgs<uint16_t>& args, int64_t begin,
                        int64_t end);

}  // namespace attune::worker::cpu_rows

#endif  // ATTUNE_WORKER_MODELS_HEAD_ROWS_H_
