#include "worker/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr int kUsageError = 64;  // EX_USAGE of sysexits.h
constexpr int64_t kMaxGeneratedTokens = 1'000'000;

constexpr char kExamples[] =
    "Examples:\n"
    "  attune-worker --preload models/smollm2-135m-instruct\n"
    "  attune-worker --server attune:50051 --listen 0.0.0.0:50061 \\\n"
    "      --advertise $POD_IP:50061 --worker-id $POD_NAME\n"
    "  attune-worker --config worker.ini     # lines such as: threads = 4\n"
    "  attune-worker import model.gguf .attune/models/my-model\n"
    "  attune-worker tokenize --model .attune/models/my-model \\\n"
    "      --input rows.jsonl\n"
    "  attune-worker forward --model .attune/models/my-model \\\n"
    "      --input rows.jsonl --output out.safetensors\n";

// An empty text where `value` is right, as CLI11 wants it.
std::string CheckAddress(const std::string& value) {
  const auto address = ParseAddress(value, "address");
  return address.ok() ? "" : std::string(address.status().message());
}

std::string CheckModelName(const std::string& value) {
  const auto id = ParseResourceName(kModelCollection, value, "preload");
  return id.ok() ? "" : std::string(id.status().message());
}

std::string CheckDuration(const std::string& value) {
  absl::Duration duration;
  return absl::ParseDuration(value, &duration) &&
                 duration > absl::ZeroDuration()
             ? ""
             : Concat("'", value, "' is no duration above 0, such as 45s");
}

std::string CheckMemory(const std::string& value) {
  return value == "auto" || ParseBytes(value)
             ? ""
             : Concat("'", value, "' is neither auto nor a size such as 8GiB");
}

std::string CheckDevice(const std::string& value) {
  return value == "cpu" || value.starts_with("cuda:")
             ? ""
             : Concat("'", value, "' is neither cpu nor cuda:N");
}

void AddServeFlags(CLI::App& app, ServeOptions& options, std::string& drain) {
  app.add_option("--server", options.server,
                 "The server to take jobs from and to register with, "
                 "HOST:PORT.")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--listen", options.listen,
                 "Where the server reaches this worker for predictions, "
                 "HOST:PORT; port 0 takes a free one.")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--advertise", options.advertise,
                 "HOST:PORT that the server is told instead of --listen, for "
                 "workers behind another address. Default: the bound address; "
                 "the host's name in place of 0.0.0.0.")
      ->check(CheckAddress);
  app.add_option("--metrics-listen", options.metrics_listen,
                 "Where Prometheus scrapes /metrics, HOST:PORT; port 0 takes "
                 "a free one.")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--models-dir", options.models_dir,
                 "The directory of the base models; each is a directory in "
                 "Hugging Face format, whose name is the model's id.")
      ->capture_default_str();
  app.add_option("--device", options.device, "Where to compute: cpu or cuda:N.")
      ->check(CheckDevice)
      ->capture_default_str();
  app.add_option("--dtype", options.dtype,
                 "Number format of the frozen weights: fp32, bf16, or auto "
                 "(bf16 where the device computes in it, else fp32).")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Compute threads for training and serving together. 0: one "
                 "for each core.")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option(
         "--max-jobs", options.max_jobs,
         "Tuning jobs that train at once, 1 to 64, on one copy of the "
         "base model's weights. They compute in turns: together as fast "
         "as one alone, each at its share. A further job costs its "
         "rows and trained values, not another model.")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--preload", options.preload,
                 "A base model (models/ID) to load before the worker is ready, "
                 "or several with commas; may be given several times. One that "
                 "cannot be loaded ends the start. Others are loaded when "
                 "first used.")
      ->delimiter(',')
      ->check(CheckModelName);
  app.add_option_function<std::string>(
         "--model-memory",
         [&options](const std::string& value) {
           options.model_memory = ParseBytes(value);
         },
         "The most that the weights of loaded models may take, such as 8GiB. "
         "Models that no job or request uses make room for others, the least "
         "recently used first. auto: three quarters of the memory that the "
         "machine or the container gives; on cuda:N no limit.")
      ->check(CheckMemory)
      ->default_str("auto");
  app.add_option("--worker-id", options.worker_id,
                 "The worker's name, unique and kept over restarts. Default: "
                 "the host's name and the port of --listen.");
  app.add_option("--log-level", options.log_level,
                 "Least severe messages to log, on stderr.")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.add_option("--ready-file", options.ready_file,
                 "A file to write, with the bound addresses, once the worker "
                 "is ready: lines engine=HOST:PORT and metrics=HOST:PORT.");
  app.add_option("--drain-timeout", drain,
                 "How long a SIGTERM waits for the training step, its "
                 "checkpoint and running predictions.")
      ->check(CheckDuration)
      ->capture_default_str();
}

CLI::App* AddImport(CLI::App& app, ImportOptions& import) {
  CLI::App* command = app.add_subcommand(
      "import",
      "Converts a GGUF file into a model directory and ends. Example: "
      "attune-worker import model.gguf .attune/models/my-model");
  command->add_option("FILE", import.gguf_file, "The GGUF file to read.")
      ->required();
  command
      ->add_option("DIR", import.output_dir,
                   "The directory to make; its name becomes the model's id.")
      ->required();
  return command;
}

CLI::App* AddTokenize(CLI::App& app, TokenizeOptions& tokenize) {
  CLI::App* command = app.add_subcommand(
      "tokenize",
      "Prints the token ids of texts, one JSON line for each: ids, offsets (in "
      "characters of the text), tokens and type_ids. Example: attune-worker "
      "tokenize --model .attune/models/my-model --input rows.jsonl");
  command
      ->add_option("--model", tokenize.model_dir,
                   "The model's directory, in Hugging Face format.")
      ->required();
  command
      ->add_option("--input", tokenize.input_file,
                   "Rows, a JSON object per line: {\"text\": ...} or "
                   "{\"text\": ..., \"text_pair\": ...}.")
      ->required();
  command->add_flag_callback(
      "--no-special-tokens", [&] { tokenize.add_special_tokens = false; },
      "Leaves out the special tokens that the model puts around a text, such "
      "as [CLS] and [SEP].");
  return command;
}

CLI::App* AddForward(CLI::App& app, ForwardOptions& forward) {
  CLI::App* command = app.add_subcommand(
      "forward",
      "Runs inputs through a model and writes the numbers that come out, to be "
      "compared with those of Hugging Face transformers. For row N, counted "
      "from 0, the output holds input_ids.N and logits.N [tokens, vocabulary] "
      "or, for encoders without a head, last_hidden_state.N [tokens, width]; "
      "for encoder-decoders also decoder_input_ids.N, whose logits they are. "
      "All results are kept in memory until the end. Example: attune-worker "
      "forward --model .attune/models/my-model --input rows.jsonl --output "
      "out.safetensors");
  command
      ->add_option("--model", forward.model_dir,
                   "The model's directory, in Hugging Face format.")
      ->required();
  command
      ->add_option("--input", forward.input_file,
                   "Rows, a JSON object per line: {\"text\": ...}, {\"text\": "
                   "..., \"text_pair\": ...} or {\"input_ids\": [...]}; "
                   "perhaps with \"token_type_ids\" (encoders) or "
                   "\"decoder_input_ids\" (encoder-decoders; default: the "
                   "token that a decoder starts with).")
      ->required();
  command
      ->add_option("--output", forward.output_file,
                   "The safetensors file to write; replaced if it is there.")
      ->required();
  command->add_option("--prompt", forward.prompt_dir,
                      "A PEFT adapter's directory, whose prompt stands before "
                      "every input: PROMPT_TUNING, P_TUNING or PREFIX_TUNING. "
                      "Its rows are left out of the output.");
  command
      ->add_option("--dtype", forward.dtype,
                   "Number format of the weights: fp32 or bf16. Results are "
                   "fp32.")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command
      ->add_option("--device", forward.device,
                   "Where to compute: cpu or cuda:N.")
      ->check(CheckDevice)
      ->capture_default_str();
  command
      ->add_option("--generate", forward.max_new_tokens,
                   "Goes on greedily for at most this many tokens and writes "
                   "them as generated_ids.N: up to an end token, which is "
                   "kept, or as far as the context goes.")
      ->check(CLI::Range(int64_t{1}, kMaxGeneratedTokens));
  return command;
}

}  // namespace

std::optional<int64_t> ParseBytes(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"kB", 1e3},        {"MB", 1e6},        {"GB", 1e9},
      {"TB", 1e12},       {"KiB", 1LL << 10}, {"MiB", 1LL << 20},
      {"GiB", 1LL << 30}, {"TiB", 1LL << 40}};
  constexpr double kMostBytes = 1e18;
  const size_t end = text.find_first_not_of("0123456789.");
  if (end == text.npos) return std::nullopt;
  double number = 0;
  if (!absl::SimpleAtod(ToAbsl(text.substr(0, end)), &number)) {
    return std::nullopt;
  }
  for (const auto& [unit, size] : kUnits) {
    if (text.substr(end) != unit) continue;
    const double bytes = number * size;
    if (bytes < 1 || bytes > kMostBytes) return std::nullopt;
    return static_cast<int64_t>(bytes);
  }
  return std::nullopt;
}

absl::StatusOr<std::pair<std::string, int>> ParseAddress(
    const std::string& address, std::string_view flag) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon != std::string::npos && colon > 0) {
    const char* begin = address.data() + colon + 1;
    const char* end = address.data() + address.size();
    const auto [rest, error] = std::from_chars(begin, end, port);
    if (error != std::errc() || rest != end) {
      port = -1;
    }
  }
  if (port < 0 || port > 65535) {
    return InvalidField(flag, Concat("'", address,
                                     "' is not HOST:PORT, such as "
                                     "127.0.0.1:50061"));
  }
  return std::make_pair(address.substr(0, colon), port);
}

CommandLine ParseCommandLine(const std::vector<std::string>& arguments) {
  CLI::App app(
      "attune-worker holds base models, tunes prompts for them and answers "
      "predictions. Without a command it serves.");
  app.name("attune-worker");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string(kVersion));
  app.set_config("--config", "",
                 "A file with the flags below, one 'name = value' per line; "
                 "flags on the command line win. Unknown names are refused.");
  app.allow_config_extras(CLI::config_extras_mode::error);
  ServeOptions serve;
  std::string drain = "50s";
  AddServeFlags(app, serve, drain);
  ImportOptions import;
  const CLI::App* import_command = AddImport(app, import);
  TokenizeOptions tokenize;
  const CLI::App* tokenize_command = AddTokenize(app, tokenize);
  ForwardOptions forward;
  const CLI::App* forward_command = AddForward(app, forward);
  // CLI11 takes arguments from the back.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream wrong;
    const int code = app.exit(error, out, wrong);
    return PrintAndExit{out.str() + wrong.str(), code == 0 ? 0 : kUsageError};
  }
  if (import_command->parsed()) {
    return import;
  }
  if (tokenize_command->parsed()) {
    return tokenize;
  }
  if (forward_command->parsed()) {
    return forward;
  }
  // Checked above.
  absl::ParseDuration(drain, &serve.drain_timeout);
  return serve;
}

}  // namespace attune::worker
