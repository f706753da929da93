// SPDX-License-Identifier: GPL-2.0-only
// replay: reads a file as a model would, and tells what each pass cost.
#include "replay/clock.hpp"
#include "replay/play.hpp"
#include "replay/report.hpp"
#include "replay/routing.hpp"
#include "replay/work.hpp"

#include "lib/size.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sys/stat.h>

namespace itme::replay {

namespace {

const std::map<std::string, Way> ways = {{"backward", Way::backward},
					 {"strided", Way::strided},
					 {"shuffled", Way::shuffled},
					 {"part", Way::part},
					 {"twice", Way::twice}};

struct Options {
	Path path, sums, trace;
	std::string program = "dense";
	uint64_t bytes = 0, seed = 1;
	uint64_t item_bytes = 2 << 20;
	RoutingShape shape;
	LayerBytes layer{0, 2 << 20};
	size_t pins = 0;
	double item_ms = 0, units_per_s = 0, sleep_ms = 0;
	Play play;
	Limit limit;
	bool json = false;
};

void add_size(CLI::App *command, const char *name, uint64_t &value, const char *text)
{
	command->add_option(name, value, text)->transform([](const std::string &written) {
		const auto bytes = parse_size(written);
		if (!bytes)
			throw CLI::ValidationError(written + " is no size");
		return std::to_string(*bytes);
	});
}

template <typename Enum>
void add_choice(CLI::App *command, const char *name, Enum &value, const char *text,
		std::map<std::string, Enum> choices)
{
	command->add_option(name, value, text)
		->transform(CLI::CheckedTransformer{std::move(choices)});
}

Result<std::string> read_text(const Path &path)
{
	auto text = read_file(path);
	if (!text)
		return fail(path.string() + ": " + errno_text(text.error()));
	return std::move(*text);
}

Result<void> write_text(const Path &path, const std::string &text)
{
	std::ofstream file{path};

	if (!(file << text << '\n' << std::flush))
		return fail(path.string() + ": it cannot be written");
	return {};
}

Result<Routing> routing_of(const Options &options)
{
	if (options.trace.empty())
		return draw_routing(options.shape, options.play.passes, options.seed);
	const auto text = read_text(options.trace);
	if (!text)
		return std::unexpected(text.error());
	return parse_routing(*text);
}

Result<Program> program_of(const Options &options)
{
	struct stat st;
	if (stat(options.path.c_str(), &st) < 0)
		return fail(options.path.string() + ": " + errno_text(errno));
	const auto size = static_cast<uint64_t>(st.st_size);
	const uint64_t bytes = options.bytes > 0 ? options.bytes : size;

	auto program = [&]() -> Result<Program> {
		if (options.program == "dense")
			return dense(bytes, options.item_bytes);
		if (const auto way = ways.find(options.program); way != ways.end())
			return arranged(way->second, bytes, options.item_bytes, options.seed);
		if (options.program == "random")
			return random(bytes, options.item_bytes, options.play.passes, options.seed);
		const auto routing = routing_of(options);
		if (!routing)
			return std::unexpected(routing.error());
		return routed(*routing, options.layer, options.item_bytes);
	}();
	if (program)
		for (const auto &item : program->items)
			if (item.offset + item.length > size)
				return fail("the program reads past the end of " +
						    options.path.string(),
					    Exit::usage);
	return program;
}

Result<void> run(Options &options)
{
	const auto program = program_of(options);
	if (!program)
		return std::unexpected(program.error());
	if (options.pins > program->items.size())
		return fail("there are only " + std::to_string(program->items.size()) +
				    " items to pin",
			    Exit::usage);
	options.play.hints.seed = options.seed;
	options.play.hints.pinned = spread_evenly(program->items.size(), options.pins);

	if (options.play.look == Look::verify) {
		if (options.sums.empty())
			return fail("--look=verify needs --sums", Exit::usage);
		const auto text = read_text(options.sums);
		if (!text)
			return std::unexpected(text.error());
		auto sums = parse_sums(*text);
		if (!sums)
			return std::unexpected(sums.error());
		options.play.sums = std::move(*sums);
	}
	if (options.item_ms > 0) {
		const double rate = options.units_per_s > 0 ? options.units_per_s : work_rate();
		options.play.work_units = static_cast<uint64_t>(options.item_ms * rate / 1e3);
	}
	options.play.sleep_s = options.sleep_ms / 1e3;
	options.play.path = options.path;

	const auto played = play(options.play, *program);
	if (!played)
		return std::unexpected(played.error());
	print(std::cout, *played, options.limit, options.json);
	return {};
}

Result<void> make(const Options &options)
{
	const auto sums = make_file(options.path, options.bytes, options.seed);
	if (!sums)
		return std::unexpected(sums.error());
	return options.sums.empty() ? Result<void>{} : write_text(options.sums, format_sums(*sums));
}

Result<void> trace(const Options &options)
{
	const auto routing = draw_routing(options.shape, options.play.passes, options.seed);
	if (!routing)
		return std::unexpected(routing.error());
	return write_text(options.path, format_routing(*routing));
}

void add_shape(CLI::App *command, Options &options)
{
	command->add_option("--layers", options.shape.layers, "of a mixture of experts");
	command->add_option("--experts", options.shape.experts, "of each layer");
	command->add_option("--picked", options.shape.picked, "experts that a pass picks, a layer");
	command->add_option("--skew", options.shape.skew, "of Zipf's law of their popularity");
	command->add_option("--passes", options.play.passes, "passes, the warm ones included")
		->check(CLI::PositiveNumber);
	command->add_option("--seed", options.seed, "of all that is drawn at random");
}

void add_play(CLI::App *command, Options &options)
{
	Play &play = options.play;

	add_shape(command, options);
	command->add_option("FILE", options.path, "a region, or any file")->required();
	std::set<std::string> programs{"dense", "random", "moe"};
	for (const auto &[name, way] : ways)
		programs.insert(name);
	command->add_option("--program", options.program, "in which order it is read")
		->check(CLI::IsMember{programs});
	add_size(command, "--bytes", options.bytes, "read so much of the file; else all of it");
	add_size(command, "--item", options.item_bytes, "needed as a whole; larger parts are cut");
	command->add_option("--trace", options.trace,
			    "the experts' routing, as replay trace writes it");
	add_size(command, "--shared-bytes", options.layer.shared, "of a layer, read in each pass");
	add_size(command, "--expert-bytes", options.layer.expert, "of an expert");
	add_choice(command, "--mode", play.mode, "how the file is read",
		   {{"map", Mode::map},
		    {"pread", Mode::pread},
		    {"direct", Mode::direct},
		    {"ring", Mode::ring}});
	command->add_option("--slots", play.slots, "buffers that a ring fills ahead")
		->check(CLI::PositiveNumber);
	add_choice(command, "--advice", play.advice, "madvise() of the whole mapping",
		   {{"normal", Advice::normal},
		    {"sequential", Advice::sequential},
		    {"random", Advice::random}});
	add_choice(command, "--look", play.look,
		   "at what is read: a word a cache line, all of it, or against --sums",
		   {{"lines", Look::lines}, {"all", Look::all}, {"verify", Look::verify}});
	command->add_option("--sums", options.sums, "checksums that replay make wrote");
	command->add_option("--warm", play.warm, "passes at first that are not counted");
	command->add_option("--item-ms", options.item_ms, "busy work for each item");
	command->add_option("--units-per-s", options.units_per_s,
			    "what replay rate printed; else it is measured now");
	command->add_option("--sleep-ms", options.sleep_ms, "sleep for each item");
	command->add_option("--ahead", play.hints.ahead, "prefetch the item so many ahead");
	add_choice(command, "--class", play.hints.sureness, "of these hints",
		   {{"exact", Sureness::exact},
		    {"likely", Sureness::likely},
		    {"maybe", Sureness::maybe}});
	command->add_flag("--release", play.hints.release, "let go what was read");
	command->add_flag("--needs", play.hints.needs,
			  "prefetch a layer's experts as soon as they are picked");
	command->add_flag("--ready-first", play.hints.ready_first,
			  "then read first those that are in memory (--needs)");
	command->add_option("--guesses", play.hints.guesses,
			    "and tell itmed so many guesses of the next layer's, by libitme");
	command->add_option("--right", play.hints.right, "the share of the guesses that is right")
		->check(CLI::Range(0.0, 1.0));
	command->add_option("--pins", options.pins,
			    "keep so many items, spread evenly: pinned, locked, or in the ring");
	command->add_option("--bandwidth", options.limit.bandwidth,
			    "of the store, bytes a second: tells the efficiency");
	add_size(command, "--capacity", options.limit.capacity_bytes, "of the memory for the file");
	command->add_option("--compute-s", options.limit.compute_s,
			    "of a pass with all resident; else as measured");
	command->add_flag("--json", options.json, "print JSON");
}

int run_replay(int argc, const char *const *argv)
{
	CLI::App app{"Reads a file as a model would, and tells what each pass cost.", "replay"};
	Options options;
	Result<void> result;

	app.require_subcommand(1);
	auto *command = app.add_subcommand("run", "play a program over a file");
	add_play(command, options);
	command->callback([&] { result = run(options); });

	command = app.add_subcommand("make", "write a file of known content");
	command->add_option("FILE", options.path)->required();
	add_size(command, "--bytes", options.bytes, "its size");
	command->add_option("--seed", options.seed, "of its content");
	command->add_option("--sums", options.sums, "write its checksums there");
	command->callback([&] { result = make(options); });

	command = app.add_subcommand("trace",
				     "draw a routing of experts, with popularities by Zipf's law");
	command->add_option("FILE", options.path)->required();
	add_shape(command, options);
	command->callback([&] { result = trace(options); });

	command =
		app.add_subcommand("rate", "units of busy work that this machine does in a second");
	command->callback([] { std::cout << static_cast<uint64_t>(work_rate()) << '\n'; });

	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &error) {
		return static_cast<int>(app.exit(error) == 0 ? Exit::ok : Exit::usage);
	}
	if (result)
		return static_cast<int>(Exit::ok);
	std::cerr << "replay: " << result.error().text << '\n';
	return static_cast<int>(result.error().code);
}

} // namespace

} // namespace itme::replay

int main(int argc, char **argv)
{
	return itme::replay::run_replay(argc, argv);
}
