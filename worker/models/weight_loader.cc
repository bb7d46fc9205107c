#include "worker/models/weight_loader.h"

#include <ATen/TensorOperators.h>

#include <utility>

namespace attune::worker {

void WeightLoader::ChoosePrefix(std::initializer_list<const char*> prefixes,
                                const std::string& probe) {
  canonical_prefix_ = *prefixes.begin();
  source_.NameBody(canonical_prefix_);
  prefix_ = canonical_prefix_;
  for (const char* prefix : prefixes) {
    if (source_.Has({prefix + probe, canonical_prefix_ + probe})) {
      prefix_ = prefix;
      return;
    }
  }
}

WeightLoader WeightLoader::Top() const { return WeightLoader(source_); }

bool WeightLoader::Has(const std::string& name) const {
  return source_.Has(NameOf(name));
}

void WeightLoader::Ignore(const std::string& name) {
  source_.Ignore(NameOf(name));
}

void WeightLoader::Drop(const std::string& name) { source_.Drop(NameOf(name)); }

at::Tensor WeightLoader::Table(const std::string& name, int64_t rows,
                               int64_t columns) {
  return source_.Table(NameOf(name), rows, columns);
}

at::Tensor WeightLoader::Vector(const std::string& name, int64_t size,
                                double offset) {
  at::Tensor vector = source_.Vector(NameOf(name), size);
  return offset == 0 || !vector.defined() ? vector : vector + offset;
}

LinearLayer WeightLoader::Merged(const std::vector<Part>& parts,
                                 int64_t columns, bool bias) {
  std::vector<MatrixPart> named;
  for (const Part& part : parts) {
    named.push_back({NameOf(part.name), part.rows});
  }
  return source_.Layer(named, columns, {.bias = bias, .row_order = {}});
}

LinearLayer WeightLoader::Linear(const std::string& name, int64_t rows,
                                 int64_t columns, bool bias) {
  return Merged({{name, rows}}, columns, bias);
}

LinearLayer WeightLoader::Transposed(const std::string& name, int64_t rows,
                                     int64_t columns) {
  return source_.Layer({{NameOf(name), rows}}, columns,
                       {.bias = true, .transposed = true, .row_order = {}});
}

LinearLayer WeightLoader::Reordered(const std::string& name, int64_t columns,
                                    bool bias, const at::Tensor& row_order) {
  return source_.Layer({{NameOf(name), row_order.size(0)}}, columns,
                       {.bias = bias, .row_order = row_order});
}

RmsNorm WeightLoader::Rms(const std::string& name, int64_t dim, double epsilon,
                          double offset) {
  at::Tensor weight = Vector(name + ".weight", dim, offset);
  return weight.defined() ? RmsNorm(std::move(weight), epsilon) : RmsNorm();
}

LayerNorm WeightLoader::Layer(const std::string& name, int64_t dim,
                              double epsilon) {
  // BERT's oldest checkpoints name them as TensorFlow does.
  const bool old = Has(name + ".gamma");
  at::Tensor weight = Vector(name + (old ? ".gamma" : ".weight"), dim);
  at::Tensor bias = Vector(name + (old ? ".beta" : ".bias"), dim);
  return LayerNorm(std::move(weight), std::move(bias), epsilon);
}

}  // namespace attune::worker
