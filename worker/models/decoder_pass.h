#ifndef ATTUNE_WORKER_MODELS_DECODER_PASS_H_
#define ATTUNE_WORKER_MODELS_DECODER_PASS_H_

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <vector>

#include "absl/status/status.h"
#include "worker/models/attention_layout.h"
#include "worker/models/packed_attention.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// One forward of a decoder: what its layers' self attention shares, and the
// caches that it writes. Lives for one call.
class DecoderPass {
 public:
  // A sequence's keys are constants: InvalidArgument if the batch has one and
  // is to be differentiable.
  static absl::Status CheckSequences(const std::vector<Segment>& segments,
                                     bool differentiable);

  // `rows`, which must be valid, and `keep` (null: forget keys and values) are
  // borrowed. num_layers: of the decoder.
  DecoderPass(const PackedRows& rows, int64_t num_layers,
              const at::Device& device, LayerKeys* keep);

  // The batch's rows: [n, embedding_dim].
  const at::Tensor& embeddings() const { return rows_.embeddings; }
  // Of every row: [n], int64.
  const at::Tensor& positions() const { return positions_; }

  // The self attention of one layer; layers come in order. Keys and values go
  // to the caches. -> [n, heads * head_dim]
  at::Tensor Attend(const QkvRows& qkv, const AttentionRule& rule = {});

  // Behind a layer's attention nothing looks at other rows: the rows of x [n,
  // m] that the batch wants once the last layer's Attend is done, before that
  // x.
  at::Tensor Wanted(const at::Tensor& x) const;

  // Counts what the layers wrote, once all are done.
  void Commit();

 private:
  const PackedRows& rows_;
  LayerKeys* const keep_;
  const c10::intrusive_ptr<AttentionLayout> layout_;
  at::Tensor positions_;
  at::Tensor wanted_;  // undefined: all rows
  const int64_t num_layers_;
  int64_t layer_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_DECODER_PASS_H_
