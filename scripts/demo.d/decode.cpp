// SPDX-License-Identifier: GPL-2.0-only
// Decode tokens greedily with llama.cpp from a mapped model, and measure each pass.
//
// A plain client of libllama's public interface: the library is unmodified.
// Each token's record holds its id, a hash of the raw logits, the time the
// pass took, and what it cost in faults and in bytes read from a drive.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <getopt.h>
#include <limits>
#include <memory>
#include <string>
#include <sys/resource.h>

#include "llama.h"

namespace {

struct Options {
	const char *model = nullptr, *report = nullptr, *drive = nullptr, *label = "decode";
	int tokens = 16, threads = 2, context = 256;
};

struct Counters {
	uint64_t read_bytes = 0, reads = 0; // from the drive
	uint64_t major_faults = 0, minor_faults = 0;
	std::chrono::steady_clock::time_point when;
};

struct Memory {
	uint64_t anonymous = 0, file = 0, shared = 0; // mapped by this process
	uint64_t group_anonymous = 0, group_kernel = 0, group_file = 0;
};

// The number after a name and blanks, in a file of such lines as
// /proc/self/status and memory.stat; 0 where there is none.
uint64_t named_number(const std::string &path, const std::string &name)
{
	std::ifstream file(path);
	std::string word;
	uint64_t value = 0;

	while (file >> word) {
		if (word == name && file >> value)
			return value;
		file.clear();
		file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
	}
	return 0;
}

Counters counters(const Options &options)
{
	Counters now;
	rusage usage = {};

	if (options.drive != nullptr) {
		std::ifstream stat(std::string("/sys/block/") + options.drive + "/stat");
		uint64_t merges = 0, sectors = 0;

		if (!(stat >> now.reads >> merges >> sectors)) {
			fprintf(stderr, "decode: no counters of drive %s\n", options.drive);
			exit(1);
		}
		now.read_bytes = sectors * 512;
	}
	getrusage(RUSAGE_SELF, &usage);
	now.major_faults = static_cast<uint64_t>(usage.ru_majflt);
	now.minor_faults = static_cast<uint64_t>(usage.ru_minflt);
	now.when = std::chrono::steady_clock::now();
	return now;
}

std::string own_group()
{
	std::ifstream file("/proc/self/cgroup");
	std::string line;

	while (std::getline(file, line))
		if (line.starts_with("0::"))
			return "/sys/fs/cgroup" + line.substr(3);
	return {};
}

Memory memory(const std::string &group)
{
	static const std::string status = "/proc/self/status";
	const std::string stat = group + "/memory.stat";
	Memory now;

	now.anonymous = named_number(status, "RssAnon:") << 10;
	now.file = named_number(status, "RssFile:") << 10;
	now.shared = named_number(status, "RssShmem:") << 10;
	now.group_anonymous = named_number(stat, "anon");
	now.group_kernel = named_number(stat, "kernel");
	now.group_file = named_number(stat, "file");
	return now;
}

// FNV-1a over the logits as they lie in memory: any bit that differs shows.
class Hash {
public:
	void add(const float *values, size_t count)
	{
		const auto *byte = reinterpret_cast<const unsigned char *>(values);

		for (size_t i = 0; i < count * sizeof(float); i++)
			state = (state ^ byte[i]) * 0x100000001b3;
	}
	[[nodiscard]] uint64_t value() const { return state; }

private:
	uint64_t state = 0xcbf29ce484222325;
};

void record_pass(FILE *report, const char *name, const Counters &from, const Counters &to,
		 const Memory &now)
{
	fprintf(report,
		"{\"pass\": \"%s\", \"seconds\": %.6f, \"store_bytes\": %" PRIu64
		", \"store_reads\": %" PRIu64 ", \"major_faults\": %" PRIu64
		", \"minor_faults\": %" PRIu64 ", \"anonymous_bytes\": %" PRIu64
		", \"mapped_file_bytes\": %" PRIu64 ", \"group_anonymous_bytes\": %" PRIu64
		", \"group_kernel_bytes\": %" PRIu64 ", \"group_file_bytes\": %" PRIu64,
		name, std::chrono::duration<double>(to.when - from.when).count(),
		to.read_bytes - from.read_bytes, to.reads - from.reads,
		to.major_faults - from.major_faults, to.minor_faults - from.minor_faults,
		now.anonymous, now.file + now.shared, now.group_anonymous, now.group_kernel,
		now.group_file);
}

void quiet(ggml_log_level level, const char *text, void *)
{
	if (level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

bool decode(const Options &options, FILE *report)
{
	const std::string group = own_group();

	llama_log_set(quiet, nullptr);
	llama_backend_init();

	// Weights are computed on where the file is mapped: not locked, and not
	// repacked into anonymous memory (llama.cpp's --no-repack).
	llama_model_params model_params = llama_model_default_params();
	model_params.use_mmap = true;
	model_params.use_mlock = false;
	model_params.use_extra_bufts = false;
	model_params.n_gpu_layers = 0;

	llama_context_params context_params = llama_context_default_params();
	context_params.n_ctx = static_cast<uint32_t>(options.context);
	context_params.n_batch = 64;
	context_params.n_ubatch = 64;
	context_params.n_threads = options.threads;
	context_params.n_threads_batch = options.threads;

	Counters before = counters(options);
	const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
		llama_model_load_from_file(options.model, model_params), llama_model_free);
	if (!model)
		return false;
	const std::unique_ptr<llama_context, decltype(&llama_free)> context(
		llama_init_from_model(model.get(), context_params), llama_free);
	if (!context)
		return false;
	Counters after = counters(options);
	record_pass(report, "load", before, after, memory(group));
	fprintf(report, ", \"weight_bytes\": %" PRIu64 "}\n", llama_model_size(model.get()));
	fflush(report);
	printf("%-8s load      %9.2f s %9.1f MiB read\n", options.label,
	       std::chrono::duration<double>(after.when - before.when).count(),
	       static_cast<double>(after.read_bytes - before.read_bytes) / (1 << 20));
	fflush(stdout);

	const llama_vocab *vocabulary = llama_model_get_vocab(model.get());
	const auto size = static_cast<size_t>(llama_vocab_n_tokens(vocabulary));
	llama_token token = llama_vocab_bos(vocabulary);
	Hash all;

	for (int i = 0; i < options.tokens; i++) {
		before = counters(options);
		if (llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0)
			return false;
		const float *logits = llama_get_logits(context.get());
		token = static_cast<llama_token>(std::max_element(logits, logits + size) - logits);
		after = counters(options);

		Hash own;
		own.add(logits, size);
		all.add(logits, size);
		record_pass(report, "token", before, after, memory(group));
		fprintf(report,
			", \"index\": %d, \"id\": %d, \"logits\": \"%016" PRIx64
			"\", \"all_logits\": \"%016" PRIx64 "\"}\n",
			i, token, own.value(), all.value());
		fflush(report);
		printf("%-8s token %2d  %9.2f s %9.1f MiB read   id %4d\n", options.label, i,
		       std::chrono::duration<double>(after.when - before.when).count(),
		       static_cast<double>(after.read_bytes - before.read_bytes) / (1 << 20),
		       token);
		fflush(stdout);
	}

	// How much of the model is mapped by 2 MiB at a time.
	fprintf(report, "{\"pass\": \"end\", \"mapped_huge_bytes\": %" PRIu64 "}\n",
		named_number("/proc/self/smaps_rollup", "FilePmdMapped:") << 10);
	return fflush(report) == 0;
}

int usage(FILE *to, int status)
{
	fputs("usage: decode --model=FILE --report=FILE [options]\n"
	      "\n"
	      "Decodes tokens greedily from FILE, mapped, and writes a record of each\n"
	      "pass to the report: one JSON object a line.\n"
	      "\n"
	      "  --tokens=N   passes, the first on the begin-of-text token alone (16)\n"
	      "  --threads=N  (2)\n"
	      "  --context=N  tokens of key-value cache (256)\n"
	      "  --drive=NAME count what is read from /sys/block/NAME\n"
	      "  --label=NAME in front of each line of progress (decode)\n",
	      to);
	return status;
}

} // namespace

int main(int argc, char **argv)
{
	static const option names[] = {
		{"model", required_argument, nullptr, 'm'},
		{"report", required_argument, nullptr, 'r'},
		{"tokens", required_argument, nullptr, 'n'},
		{"threads", required_argument, nullptr, 't'},
		{"context", required_argument, nullptr, 'c'},
		{"drive", required_argument, nullptr, 'd'},
		{"label", required_argument, nullptr, 'l'},
		{"help", no_argument, nullptr, 'h'},
		{},
	};
	Options options;
	int name;

	while ((name = getopt_long(argc, argv, "h", names, nullptr)) != -1) {
		switch (name) {
		case 'm':
			options.model = optarg;
			break;
		case 'r':
			options.report = optarg;
			break;
		case 'n':
			options.tokens = atoi(optarg);
			break;
		case 't':
			options.threads = atoi(optarg);
			break;
		case 'c':
			options.context = atoi(optarg);
			break;
		case 'd':
			options.drive = optarg;
			break;
		case 'l':
			options.label = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || options.model == nullptr || options.report == nullptr ||
	    options.tokens < 1 || options.threads < 1 || options.context < options.tokens)
		return usage(stderr, 2);

	const std::unique_ptr<FILE, decltype(&fclose)> report(fopen(options.report, "w"), fclose);
	if (!report) {
		fprintf(stderr, "decode: %s: %s\n", options.report, strerror(errno));
		return 1;
	}
	if (!decode(options, report.get())) {
		fprintf(stderr, "decode: llama.cpp failed on %s\n", options.model);
		return 1;
	}
	return 0;
}
