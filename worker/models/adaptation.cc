#include "worker/models/adaptation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/architectures.h"
#include "worker/models/parameter_table.h"
#include "worker/models/torch_errors.h"
#include "worker/models/weight_loader.h"
#include "worker/models/weight_source.h"

namespace attune::worker {
namespace {

// The base's weights, those aside that the adaptation changes.
class AdaptedWeights final : public WeightSource {
 public:
  AdaptedWeights(const BaseModel& base, const Adaptation& adaptation)
      : base_(base), table_(base.parameters()), adaptation_(adaptation) {}

  void NameBody(const std::string&) override {}
  bool Has(const WeightName& name) const override {
    return table_.Contains(name.canonical);
  }
  void Ignore(const WeightName&) override {}
  void Drop(const WeightName&) override {}

  at::Tensor Table(const WeightName& name, int64_t, int64_t) override {
    return Counted(Find(name.canonical), Changes(name.canonical));
  }
  at::Tensor Vector(const WeightName& name, int64_t) override {
    return Counted(Find(name.canonical), Changes(name.canonical));
  }

  LinearLayer Layer(const std::vector<MatrixPart>& parts, int64_t,
                    const MatrixForm& form) override {
    const LinearLayer* base = table_.FindLayer(parts[0].name.canonical);
    if (base == nullptr) return LinearLayer();
    at::Tensor weight = Joined(parts, ".weight", base->weight());
    at::Tensor bias = base->bias();
    if (bias.defined()) bias = Joined(parts, ".bias", bias);
    LowRank low_rank = JoinedLowRank(parts, form, base->weight());
    if (adaptation_.merged && low_rank.defined()) {
      weight = (weight.to(at::kFloat) + at::mm(low_rank.up, low_rank.down))
                   .to(weight.scalar_type());
      low_rank = LowRank();
    }
    Counted(weight, !weight.is_same(base->weight()));
    if (bias.defined()) Counted(bias, !bias.is_same(base->bias()));
    return LinearLayer(std::move(weight), std::move(bias), low_rank);
  }

  // The base has been checked when it was loaded.
  absl::Status Finish() const override { return absl::OkStatus(); }
  at::Device device() const override { return base_.device(); }
  at::ScalarType dtype() const override { return base_.dtype(); }

  // Memory of the weights so far that are not the base's.
  size_t copied_bytes() const { return copied_bytes_; }

 private:
  at::Tensor Counted(at::Tensor weight, bool is_copy) {
    if (is_copy) copied_bytes_ += weight.nbytes();
    return weight;
  }

  bool Changes(const std::string& name) const {
    return adaptation_.weights.contains(name);
  }

  at::Tensor Find(const std::string& name) const {
    const auto found = table_.parameters().find(name);
    if (found == table_.parameters().end()) return at::Tensor();
    return Changes(name)
               ? ToModelForm(adaptation_.weights.at(name), found->second)
               : found->second.stored;
  }

  // The rows of all parts; the base's own tensor where none has changed.
  at::Tensor Joined(const std::vector<MatrixPart>& parts, const char* suffix,
                    const at::Tensor& base) const {
    bool changed = false;
    std::vector<at::Tensor> rows;
    for (const MatrixPart& part : parts) {
      const std::string name = part.name.canonical + suffix;
      changed = changed || Changes(name);
      rows.push_back(Find(name));
    }
    if (!changed) return base;
    return rows.size() == 1 ? rows[0] : at::cat(rows);
  }

  // The parts' additions as one of the whole layer: their ranks side by side,
  // each for the rows of its part alone.
  LowRank JoinedLowRank(const std::vector<MatrixPart>& parts,
                        const MatrixForm& form, const at::Tensor& base) const {
    std::vector<at::Tensor> downs;
    int64_t rank = 0;
    for (const MatrixPart& part : parts) {
      const auto found = adaptation_.low_rank.find(part.name.canonical);
      if (found == adaptation_.low_rank.end()) continue;
      downs.push_back(found->second.down.to(base.device()));
      rank += found->second.down.size(0);
    }
    if (downs.empty()) return LowRank();
    const at::TensorOptions options =
        at::TensorOptions().device(base.device()).dtype(at::kFloat);
    std::vector<at::Tensor> ups;
    int64_t before = 0;
    for (const MatrixPart& part : parts) {
      const auto found = adaptation_.low_rank.find(part.name.canonical);
      if (found == adaptation_.low_rank.end()) {
        ups.push_back(at::zeros({part.rows, rank}, options));
        continue;
      }
      const at::Tensor up =
          found->second.up.to(base.device()) * adaptation_.low_rank_scale;
      const int64_t after = rank - before - up.size(1);
      ups.push_back(at::cat({at::zeros({part.rows, before}, options), up,
                             at::zeros({part.rows, after}, options)},
                            /*dim=*/1));
      before += up.size(1);
    }
    LowRank joined = {.down = at::cat(downs),
                      .up = at::cat(ups),
                      .dropout = adaptation_.dropout,
                      .generator = adaptation_.generator};
    if (form.row_order.defined()) {
      joined.up = at::index_select(joined.up, 0, form.row_order);
    }
    return joined;
  }

  const BaseModel& base_;
  const ParameterTable& table_;
  const Adaptation& adaptation_;
  size_t copied_bytes_ = 0;
};

std::string ShapeText(at::IntArrayRef shape) {
  return Concat("[", absl::StrJoin(shape, ", "), "]");
}

absl::Status CheckAdaptation(const ParameterTable& table,
                             const Adaptation& adaptation) {
  for (const auto& [name, weight] : adaptation.weights) {
    if (!table.Contains(name)) {
      return absl::InvalidArgumentError(
          Concat("the model has no weight '", name, "'"));
    }
    const std::vector<int64_t> shape = table.Shape(name);
    if (weight.sizes() != at::IntArrayRef(shape)) {
      return absl::InvalidArgumentError(
          Concat("weight '", name, "' is ", ShapeText(weight.sizes()),
                 ", the model's ", ShapeText(shape)));
    }
  }
  for (const auto& [module, pair] : adaptation.low_rank) {
    const auto found = table.parameters().find(module + ".weight");
    if (found == table.parameters().end() || !found->second.is_matrix) {
      return absl::InvalidArgumentError(
          Concat("the model has no linear layer '", module, "'"));
    }
    const at::Tensor& base = found->second.stored;
    if (pair.down.dim() != 2 || pair.up.dim() != 2 ||
        pair.down.size(0) != pair.up.size(1) ||
        pair.down.size(1) != base.size(1) || pair.up.size(0) != base.size(0)) {
      return absl::InvalidArgumentError(Concat(
          "the addition to '", module, "' is ", ShapeText(pair.up.sizes()),
          " x ", ShapeText(pair.down.sizes()), ", the layer ",
          ShapeText(base.sizes())));
    }
  }
  return absl::OkStatus();
}

}  // namespace

size_t Adaptation::num_bytes() const {
  size_t bytes = 0;
  for (const auto& [name, weight] : weights) bytes += weight.nbytes();
  return bytes + low_rank_bytes();
}

size_t Adaptation::low_rank_bytes() const {
  size_t bytes = 0;
  for (const auto& [module, pair] : low_rank) {
    bytes += pair.down.nbytes() + pair.up.nbytes();
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<BaseModel>> AdaptModel(
    const BaseModel& base, const Adaptation& adaptation, size_t* copied_bytes) {
  ATTUNE_RETURN_IF_ERROR(CheckAdaptation(base.parameters(), adaptation));
  const Architecture* architecture = FindArchitecture(base.config().family);
  if (architecture == nullptr) {
    return absl::InternalError(Concat("the family '", base.config().family,
                                      "' is gone from architectures.cc"));
  }
  try {
    AdaptedWeights source(base, adaptation);
    WeightLoader weights(source);
    auto model = architecture->load(base.config(), weights);
    if (copied_bytes != nullptr) *copied_bytes = source.copied_bytes();
    return model;
  } catch (const std::exception& error) {
    return StatusOfException(
        error, Concat("adapting a ", base.config().family, " model"));
  }
}

}  // namespace attune::worker
