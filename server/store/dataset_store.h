#ifndef ATTUNE_SERVER_STORE_DATASET_STORE_H_
#define ATTUNE_SERVER_STORE_DATASET_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/dataset_service.pb.h"

namespace soci {
class session;
}

namespace attune::server {

// A dataset as it is stored.
struct DatasetRecord {
  int64_t number = 0;  // 0 until stored; never used again
  std::string id;
  v1::Dataset dataset;
};

// Datasets without their rows, which RowStore has. Stateless; `sql` is a
// transaction of the caller. Methods throw what SOCI throws; Database turns it
// into a status.
class DatasetStore {
 public:
  explicit DatasetStore(soci::session& sql) : sql_(sql) {}

  // Stores a new dataset and sets its number. The caller has checked the id.
  void Insert(DatasetRecord& record);
  void Update(const DatasetRecord& record);
  // Removes the dataset and its rows.
  void Delete(int64_t number);

  std::optional<DatasetRecord> Find(std::string_view id);
  std::optional<DatasetRecord> FindByUid(std::string_view uid);
  bool Exists(int64_t number);
  // Datasets with an id after `after`, by id.
  std::vector<DatasetRecord> List(std::string_view after, int limit);

 private:
  soci::session& sql_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_DATASET_STORE_H_
