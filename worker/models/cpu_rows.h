#ifndef ATTUNE_WORKER_MODELS_CPU_ROWS_H_
#define ATTUNE_WORKER_MODELS_CPU_ROWS_H_

#include <cstdint>

// The loops behind the layers on the CPU: plain pointers to contiguous fp32,
// compiled for several instruction sets, one of which is chosen at start. They
// work on the rows [begin, end), so that callers can share rows among threads.
namespace attune::worker::cpu_rows {

// sum = x + delta (delta may be null), inverse_rms[row] = 1 / sqrt(mean(sum^2)
// + epsilon), out = sum * inverse_rms * weight. `sum` may be `x`. Number:
// float, or uint16_t for bits of bf16, which are computed with as fp32.
template <typename Number>
struct AddRmsNormArgs {
  const float* x;       // [rows, dim]
  const Number* delta;  // [rows, dim] or null
  const float* weight;  // [dim]
  float* sum;           // [rows, dim]
  Number* out;          // [rows, dim]
  Number* kept;         // [rows, dim]: the sum once more, or null
  float* inverse_rms;   // [rows]
  int64_t dim;
  float epsilon;
};
void AddRmsNorm(const AddRmsNormArgs<float>& args, int64_t begin, int64_t end);
void AddRmsNorm(const AddRmsNormArgs<uint16_t>& args, int64_t begin,
                int64_t end);

// grad_sum = gradient of `sum` through `out`, plus what came from elsewhere.
template <typename Number>
struct AddRmsNormBackwardArgs {
  const Number* sum;         // [rows, dim]
  const float* weight;       // [dim]
  const float* inverse_rms;  // [rows]
  const Number* grad_out;    // [rows, dim]
  const float* grad_direct;  // [rows, dim] or null: gradient of `sum` itself
  float* grad_sum;           // [rows, dim]
  Number* grad_delta;        // [rows, dim]: grad_sum once more, or null
  int64_t dim;
};
void AddRmsNormBackward(const AddRmsNormBackwardArgs<float>& args,
                        int64_t begin, int64_t end);
void AddRmsNormBackward(const AddRmsNormBackwardArgs<uint16_t>& args,
                        int64_t begin, int64_t end);

// Softmax over the scores of one query row, which lie in two pieces: those of
// keys that all rows of a family share, and those of the row's own segment, of
// which it sees the first `visible`. A window hides the first `hidden` keys,
// counted over both pieces. What the row does not see becomes 0.
struct ScorePieces {
  float* shared;  // [shared_length]
  int64_t shared_length;
  float* own;  // [own_length]
  int64_t own_length;
  int64_t hidden;
  int64_t visible;    // <= own_length
  const float* bias;  // [shared_length + own_length], added first; may be null
};
void Softmax(const ScorePieces& row);
// `row` holds gradients of probabilities, which become gradients of scores.
void SoftmaxBackward(const ScorePieces& row, const float* shared_probabilities,
                     const float* own_probabilities);
// The same with bf16 bits of probabilities.
void SoftmaxBackwardBf16(const ScorePieces& row,
                         const uint16_t* shared_probabilities,
                         const uint16_t* own_probabilities);

// gate_up [rows, 2 ffn] -> out [rows, ffn] = silu(gate) * up.
void SwiGlu(const float* gate_up, float* out, int64_t ffn, int64_t begin,
            int64_t end);
void SwiGluBackward(const float* gate_up, const float* grad_out,
                    float* grad_gate_up, int64_t ffn, int64_t begin,
                    int64_t end);
// The same from and to bf16 bits, computed in fp32.
void SwiGluBf16(const uint16_t* gate_up, uint16_t* out, int64_t ffn,
                int64_t begin, int64_t end);
void SwiGluBackwardBf16(const uint16_t* gate_up, const uint16_t* grad_out,
                        uint16_t* grad_gate_up, int64_t ffn, int64_t begin,
                        int64_t end);

// bf16 bits -> fp32.
void Widen(const uint16_t* in, float* out, int64_t count);
// fp32 -> bits of the nearest bf16, of two the even one.
void Narrow(const float* in, uint16_t* out, int64_t count);
// The same for rows of `columns` numbers that lie `in_stride` and `out_stride`
// apart.
void NarrowRows(const float* in, int64_t in_stride, uint16_t* out,
                int64_t out_stride, int64_t rows, int64_t columns);

// out[m, n] = sum over k of x[m, k] * weight[n, k] for the weight rows n in
// [begin, end): for few rows, where reading the weights is the work.
// x: [rows, depth], weight: [columns, depth], out: [rows, columns].
void SmallLinearBf16(const float* x, const uint16_t* weight, float* out,
                     int64_t rows, int64_t depth, int64_t columns,
                     int64_t begin, int64_t end);
void SmallLinearFp32(const float* x, const float* weight, float* out,
                     int64_t rows, int64_t depth, int64_t columns,
                     int64_t begin, int64_t end);

}  // namespace attune::worker::cpu_rows

#endif  // ATTUNE_WORKER_MODELS_CPU_ROWS_H_
