#include "worker/agent/model_report.h"

#include <c10/core/ScalarType.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proto/cc/resource_names.h"

namespace attune::worker {
namespace {

constexpr absl::Duration kListingInterval = absl::Seconds(30);

attune::v1::ModelKind KindOf(const ModelConfig& config) {
  switch (config.kind) {
    case ModelKind::kCausal:
      return attune::v1::MODEL_KIND_CAUSAL;
    case ModelKind::kEncoder:
      return attune::v1::MODEL_KIND_ENCODER;
    case ModelKind::kEncoderDecoder:
      return attune::v1::MODEL_KIND_ENCODER_DECODER;
  }
  return attune::v1::MODEL_KIND_UNSPECIFIED;
}

}  // namespace

std::vector<attune::v1::Model> ModelReport::Make() {
  if (clock_.Monotonic() >= next_listing_) {
    next_listing_ = clock_.Monotonic() + kListingInterval;
    absl::StatusOr<std::vector<ModelInfo>> infos = models_.List();
    if (infos.ok()) {
      infos_ = *std::move(infos);
    } else {
      spdlog::error("the models cannot be listed: {}",
                    infos.status().ToString());
    }
  }
  const std::vector<std::string> loaded = models_.LoadedIds();
  const ModelStore::Options& options = models_.options();
  std::vector<attune::v1::Model> report;
  for (const ModelInfo& info : infos_) {
    attune::v1::Model& model = report.emplace_back();
    model.set_name(ResourceName(kModelCollection, info.id));
    model.set_family(info.config.family);
    model.set_kind(KindOf(info.config));
    model.set_num_parameters(info.num_parameters);
    model.set_context_length(info.config.context_length);
    model.set_vocabulary_size(info.config.vocab_size);
    model.set_embedding_size(info.config.embedding_dim);
    model.set_num_layers(info.config.num_layers);
    model.set_fingerprint(info.fingerprint);
    model.set_has_chat_template(info.has_chat_template);
    attune::v1::ModelHolder& holder = *model.add_holders();
    holder.set_worker(worker_id_);
    holder.set_device(options.device.str());
    holder.set_dtype(options.dtype == c10::kBFloat16 ? "bf16" : "fp32");
    holder.set_loaded(
        std::binary_search(loaded.begin(), loaded.end(), info.id));
    holder.set_memory_bytes(models_.LoadedBytes(info));
  }
  return report;
}

}  // namespace attune::worker
