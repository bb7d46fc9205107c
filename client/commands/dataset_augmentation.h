#ifndef ATTUNE_CLIENT_COMMANDS_DATASET_AUGMENTATION_H_
#define ATTUNE_CLIENT_COMMANDS_DATASET_AUGMENTATION_H_

#include "CLI/App.hpp"
#include "client/commands/session.h"

namespace attune::client {

// Adds `attune datasets augment`. `session` must outlive `datasets`.
void AddDatasetAugmentation(CLI::App& datasets, Session& session);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_DATASET_AUGMENTATION_H_
