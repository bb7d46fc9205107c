#include "worker/models/parameter_table.h"

#include <ATen/ops/argsort.h>
#include <ATen/ops/index_select.h>

#include <charconv>
#include <utility>

#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";

}  // namespace

void ParameterTable::Add(const WeightName& name, const at::Tensor& tensor) {
  if (!tensor.defined()) return;
  parameters_[name.canonical] = {.stored = tensor, .row_order = {}};
}

void ParameterTable::AddLayer(const std::vector<MatrixPart>& parts,
                              const LinearLayer& layer,
                              const MatrixForm& form) {
  if (!layer.weight().defined()) return;
  layers_[parts[0].name.canonical] = layer;
  int64_t begin = 0;
  for (const MatrixPart& part : parts) {
    const std::string& name = part.name.canonical;
    parameters_[name + ".weight"] = {
        .stored = layer.weight().narrow(0, begin, part.rows),
        .transposed = form.transposed,
        .row_order = form.row_order,
        .is_matrix = true};
    if (layer.bias().defined()) {
      parameters_[name + ".bias"] = {
          .stored = layer.bias().narrow(0, begin, part.rows),
          .row_order = form.row_order};
    }
    begin += part.rows;
  }
}

const LinearLayer* ParameterTable::FindLayer(const std::string& name) const {
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : &found->second;
}

at::Tensor ParameterTable::Value(const std::string& name) const {
  const Parameter& parameter = parameters_.at(name);
  at::Tensor value = parameter.stored.detach();
  if (parameter.row_order.defined()) {
    value = at::index_select(value, 0, at::argsort(parameter.row_order));
  }
  if (parameter.transposed) value = value.t();
  return value.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true)
      .contiguous();
}

std::vector<int64_t> ParameterTable::Shape(const std::string& name) const {
  const Parameter& parameter = parameters_.at(name);
  std::vector<int64_t> shape = parameter.stored.sizes().vec();
  if (parameter.transposed) std::swap(shape[0], shape[1]);
  return shape;
}

std::vector<std::string> ParameterTable::Modules() const {
  std::vector<std::string> modules;
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.is_matrix) continue;
    modules.push_back(name.substr(0, name.size() - kWeightSuffix.size()));
  }
  return modules;
}

at::Tensor ToModelForm(const at::Tensor& value,
                       const ParameterTable::Parameter& parameter) {
  at::Tensor form = value.to(parameter.stored.device());
  if (parameter.transposed) form = form.t();
  if (parameter.row_order.defined()) {
    form = at::index_select(form, 0, parameter.row_order);
  }
  return form.to(parameter.stored.scalar_type()).contiguous();
}

std::optional<int64_t> LayerOf(std::string_view name) {
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('.'));
    int64_t number = 0;
    const auto [end, error] =
        std::from_chars(part.data(), part.data() + part.size(), number);
    if (error == std::errc() && end == part.data() + part.size() &&
        number >= 0) {
      return number;
    }
    if (part.size() == name.size()) break;
    name.remove_prefix(part.size() + 1);
  }
  return std::nullopt;
}

std::string NameInLayer(const std::string& name) {
  const std::optional<int64_t> layer = LayerOf(name);
  if (!layer.has_value()) return name;
  const std::string number = Concat(".", *layer, ".");
  return name.substr(name.find(number) + number.size());
}

}  // namespace attune::worker
