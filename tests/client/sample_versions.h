#ifndef ATTUNE_TESTS_CLIENT_SAMPLE_VERSIONS_H_
#define ATTUNE_TESTS_CLIENT_SAMPLE_VERSIONS_H_

#include "attune/v1/prompt_service.pb.h"

// Versions with whole reports, as a worker makes them. The same at every call.
namespace attune::client {

// A classification with `num_labels` labels, 25 test rows of each.
v1::PromptVersion ClassificationSample(int num_labels);

// Named entities of three types, seven tags.
v1::PromptVersion TaggingSample();

// A generation without a baseline and without series.
v1::PromptVersion GenerationSample();

// A regression, whose correlations may be below 0.
v1::PromptVersion RegressionSample();

}  // namespace attune::client

#endif  // ATTUNE_TESTS_CLIENT_SAMPLE_VERSIONS_H_
