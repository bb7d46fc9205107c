#include "client/commands/datasets.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/commands/dataset_augmentation.h"
#include "client/commands/document.h"
#include "client/commands/files.h"
#include "client/commands/names.h"
#include "client/commands/rows.h"
#include "client/commands/upload_format.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "google/protobuf/empty.pb.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Datasets = v1::DatasetService::Stub;

constexpr size_t kChunkBytes = size_t{512} << 10;
constexpr size_t kMaxUploadBytes = size_t{256} << 20;

struct CreateDatasetOptions {
  std::string id;
  std::string display_name;
};

struct UploadOptions {
  std::string dataset;
  std::string file;
  std::string split;
  std::string format;
  std::string request_id;
};

struct AppendOptions {
  std::string dataset;
  std::vector<std::string> fields;
  std::string file;
  std::string request_id;
};

std::string RequestIdOr(const std::string& given) {
  return given.empty() ? NewRequestId() : given;
}

// "train 300, validation 50, test 150"; rows without a split last.
std::string SplitText(const v1::Dataset& dataset) {
  std::map<std::string, int64_t> rows(dataset.split_rows().begin(),
                                      dataset.split_rows().end());
  std::string text;
  const auto add = [&](const std::string& split, std::string_view label) {
    const auto found = rows.find(split);
    if (found == rows.end()) return;
    text += Concat(text.empty() ? "" : ", ", label, " ",
                   FormatCount(found->second));
    rows.erase(found);
  };
  for (const char* split : {"train", "validation", "test"}) add(split, split);
  add("", "without a split");
  while (!rows.empty()) {
    const std::string split = rows.begin()->first;
    add(split, split);
  }
  return text;
}

absl::StatusOr<int> Show(Session& session, const v1::Dataset& dataset) {
  if (session.json()) {
    session.out() << ToJson(dataset);
    return kExitOk;
  }
  Details details;
  details.Add("name", dataset.name());
  details.AddIf("display name", dataset.display_name());
  details.Add("rows", FormatCount(dataset.num_rows()));
  details.AddIf("splits", SplitText(dataset));
  details.Add("size", FormatBytes(dataset.size_bytes()));
  details.AddIf("sha256", dataset.digest());
  details.Add("created", FormatTime(dataset.create_time()));
  details.Add("updated", FormatTime(dataset.update_time()));
  details.Print(session.console().out);
  return kExitOk;
}

// One line after a change.
absl::StatusOr<int> ShowChanged(Session& session, const v1::Dataset& dataset) {
  if (session.json()) {
    session.out() << ToJson(dataset);
    return kExitOk;
  }
  const std::string splits = SplitText(dataset);
  session.out() << OneLine(dataset.name()) << ": "
                << FormatCount(dataset.num_rows()) << " rows"
                << (splits.empty() ? "" : " (" + OneLine(splits) + ")") << '\n';
  return kExitOk;
}

absl::StatusOr<int> CreateDataset(Session& session,
                                  const CreateDatasetOptions& options) {
  v1::CreateDatasetRequest request;
  request.set_dataset_id(ShortName(options.id));
  request.mutable_dataset()->set_display_name(options.display_name);
  request.set_request_id(NewRequestId());
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                          connection.Call(Repeat::kSafe, connection.datasets(),
                                          &Datasets::CreateDataset, request));
  return ShowChanged(session, dataset);
}

// Sends one whole file. A write that fails means that the server has answered
// already; Finish tells what.
absl::Status SendFile(Connection& connection, const std::string& bytes,
                      const v1::UploadExamplesHeader& header,
                      v1::Dataset& dataset) {
  Connection::ActiveCall call(connection.interrupt(),
                              connection.TimeoutOr(absl::Minutes(10)));
  const auto writer =
      connection.datasets().UploadExamples(call.context(), &dataset);
  v1::UploadExamplesRequest request;
  *request.mutable_header() = header;
  bool open = writer->Write(request);
  for (size_t at = 0; open && at < bytes.size(); at += kChunkBytes) {
    request.set_chunk(bytes.substr(at, kChunkBytes));
    open = writer->Write(request);
  }
  writer->WritesDone();
  return connection.FromServer(writer->Finish());
}

absl::StatusOr<int> Upload(Session& session, const UploadOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::UploadExamplesHeader::UploadFormat format,
                          FindUploadFormat(options.format, options.file));
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string bytes,
      ReadInput(options.file, session.in(), kMaxUploadBytes));
  v1::UploadExamplesHeader header;
  header.set_dataset(DatasetName(options.dataset));
  header.set_split(options.split);
  header.set_format(format);
  header.set_request_id(RequestIdOr(options.request_id));
  Connection& connection = session.connection();
  v1::Dataset dataset;
  ATTUNE_RETURN_IF_ERROR(connection.Try(Repeat::kSafe, [&] {
    return SendFile(connection, bytes, header, dataset);
  }));
  return ShowChanged(session, dataset);
}

absl::StatusOr<int> Append(Session& session, const AppendOptions& options) {
  v1::AppendExamplesRequest request;
  request.set_dataset(DatasetName(options.dataset));
  request.set_request_id(RequestIdOr(options.request_id));
  if (!options.fields.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(*request.add_rows(), RowOfFields(options.fields));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string text,
        ReadInput(options.file, session.in(), kMaxDocumentBytes));
    ATTUNE_ASSIGN_OR_RETURN(auto rows, ParseRows(text, options.file));
    for (google::protobuf::Struct& row : rows) {
      *request.add_rows() = std::move(row);
    }
  }
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                          connection.Call(Repeat::kSafe, connection.datasets(),
                                          &Datasets::AppendExamples, request));
  return ShowChanged(session, dataset);
}

absl::StatusOr<int> ListDatasets(Session& session) {
  Connection& connection = session.connection();
  std::vector<v1::Dataset> datasets;
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      v1::ListDatasetsRequest(),
      [&](const auto& request) {
        return connection.Call(Repeat::kSafe, connection.datasets(),
                               &Datasets::ListDatasets, request);
      },
      [&](v1::ListDatasetsResponse& page) {
        std::move(page.mutable_datasets()->begin(),
                  page.mutable_datasets()->end(), std::back_inserter(datasets));
        return true;
      }));
  if (session.json()) {
    session.out() << ToJsonArrayOf(datasets);
    return kExitOk;
  }
  Table table({{"NAME"},
               {"ROWS", Table::Align::kRight},
               {"SPLITS"},
               {"SIZE", Table::Align::kRight},
               {"UPDATED", Table::Align::kRight}});
  for (const v1::Dataset& dataset : datasets) {
    table.Add({ShortName(dataset.name()), FormatCount(dataset.num_rows()),
               SplitText(dataset), FormatBytes(dataset.size_bytes()),
               FormatAge(dataset.update_time(), session.clock().Now())});
  }
  table.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> GetDataset(Session& session, const std::string& name) {
  v1::GetDatasetRequest request;
  request.set_name(DatasetName(name));
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                          connection.Call(Repeat::kSafe, connection.datasets(),
                                          &Datasets::GetDataset, request));
  return Show(session, dataset);
}

absl::StatusOr<int> DeleteDataset(Session& session, const std::string& name) {
  v1::DeleteDatasetRequest request;
  request.set_name(DatasetName(name));
  Connection& connection = session.connection();
  ATTUNE_RETURN_IF_ERROR(connection
                             .Call(Repeat::kUnsafe, connection.datasets(),
                                   &Datasets::DeleteDataset, request)
                             .status());
  session.err() << request.name() << " deleted\n";
  return kExitOk;
}

void AddCreateDataset(CLI::App& datasets, Session& session) {
  const auto options = std::make_shared<CreateDatasetOptions>();
  CLI::App* command =
      datasets.add_subcommand("create", "Create an empty dataset");
  command->add_option("id", options->id, "The dataset's id")->required();
  command->add_option("--display-name", options->display_name,
                      "A name for people");
  command->footer("Example:\n  attune datasets create banking77-intents");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return CreateDataset(session, *options);
    };
  });
}

void AddUpload(CLI::App& datasets, Session& session) {
  const auto options = std::make_shared<UploadOptions>();
  CLI::App* command = datasets.add_subcommand(
      "upload", "Append the rows of a file: all of them or none");
  command->add_option("name", options->dataset, "The dataset")->required();
  command
      ->add_option("file", options->file,
                   "A file in one of the formats below; '-' is standard input")
      ->required();
  command->add_option("--format", options->format,
                      Concat(kUploadFormatChoices,
                             " (default: by the file's suffix; jsonl of "
                             "standard input)"));
  command->add_option("--split", options->split,
                      "train, validation or test: for rows that do not say");
  command->add_option("--request-id", options->request_id,
                      "A UUID: the same one appends the rows only once "
                      "(default: a new one)");
  command->footer(
      "Formats (UTF-8):\n"
      "  jsonl  one JSON object a line\n"
      "  json   a JSON array of objects\n"
      "  csv    comma-separated, the first line names the columns; values are "
      "texts\n"
      "  tsv    the same with tabs\n"
      "  conll  a token a line, first column the token, last column its tag; "
      "a blank\n"
      "         line ends a sentence: fields tokens and tags\n"
      "Examples:\n"
      "  attune datasets upload banking77-intents train.jsonl --split train\n"
      "  attune datasets upload banking77-intents test.csv --split test\n"
      "  attune datasets upload travel-entities train.bio --split train\n"
      "  zcat rows.txt.gz | attune datasets upload reviews - --format tsv");
  command->callback([&session, options] {
    session.action = [&session, options] { return Upload(session, *options); };
  });
}

void AddAppend(CLI::App& datasets, Session& session) {
  const auto options = std::make_shared<AppendOptions>();
  CLI::App* command = datasets.add_subcommand(
      "append", "Append a few rows, as a product does while it runs");
  command->add_option("name", options->dataset, "The dataset")->required();
  CLI::Option_group* source = command->add_option_group("rows");
  source
      ->add_option("--field", options->fields,
                   "A field of one row, name=text, many times")
      ->allow_extra_args(false);
  source->add_option("-f,--file", options->file,
                     "Rows, one JSON object a line; '-' is standard input");
  source->require_option(1);
  command->add_option("--request-id", options->request_id,
                      "A UUID: the same one appends the rows only once "
                      "(default: a new one)");
  command->footer(
      "Examples:\n"
      "  attune datasets append banking77-intents --field text=\"Where is my "
      "card?\" \\\n"
      "      --field label=card_arrival --field split=train\n"
      "  tail -n 20 new.jsonl | attune datasets append banking77-intents -f -");
  command->callback([&session, options] {
    session.action = [&session, options] { return Append(session, *options); };
  });
}

void AddOnDataset(CLI::App& datasets, Session& session, const std::string& verb,
                  const std::string& description,
                  absl::StatusOr<int> (*run)(Session&, const std::string&)) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = datasets.add_subcommand(verb, description);
  command->add_option("name", *name, "The dataset: an id or datasets/{id}")
      ->required();
  command->footer("Example:\n  attune datasets " + verb + " banking77-intents");
  command->callback([&session, name, run] {
    session.action = [&session, name, run] { return run(session, *name); };
  });
}

}  // namespace

void AddDatasetsCommands(CLI::App& root, Session& session) {
  CLI::App* datasets =
      root.add_subcommand("datasets", "Rows to train on and to measure by");
  datasets->require_subcommand(1);
  AddCreateDataset(*datasets, session);
  AddUpload(*datasets, session);
  AddAppend(*datasets, session);
  AddDatasetAugmentation(*datasets, session);
  CLI::App* list = datasets->add_subcommand("list", "List datasets by name");
  list->footer("Example:\n  attune datasets list -o json");
  list->callback([&session] {
    session.action = [&session] { return ListDatasets(session); };
  });
  AddOnDataset(*datasets, session, "get", "Show a dataset", GetDataset);
  AddOnDataset(*datasets, session, "delete", "Remove a dataset and its rows",
               DeleteDataset);
}

}  // namespace attune::client
