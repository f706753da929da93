// SPDX-License-Identifier: GPL-2.0-only
// itmectl top: what happens now, again and again.
#include "itmectl/command.hpp"
#include "itmectl/source.hpp"
#include "itmectl/stop.hpp"
#include "itmectl/top_view.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr double least_seconds = 0.1, most_seconds = 3600;
constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t slice_ns = second_ns / 5; // how late a key is heard

struct Options {
	double seconds = 1;
	std::uint64_t count = 0; // 0: without an end
	bool json = false, own = false;
	std::filesystem::path socket = default_socket;
};

// The terminal shows a screen of its own and hands over single keys while this lives.
class Terminal {
public:
	explicit Terminal(Env &env) : env_(env)
	{
		if (tcgetattr(STDIN_FILENO, &before_) == 0) {
			auto raw = before_;

			raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
			keys_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
		}
		env_.out << "\x1b[?1049h\x1b[?25l" << std::flush;
	}
	Terminal(const Terminal &) = delete;
	Terminal &operator=(const Terminal &) = delete;
	~Terminal()
	{
		env_.out << "\x1b[?25h\x1b[?1049l" << std::flush;
		if (keys_)
			tcsetattr(STDIN_FILENO, TCSANOW, &before_);
	}

	[[nodiscard]] static Screen screen()
	{
		winsize size{};

		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20 ||
		    size.ws_row < 4)
			return {};
		return {.columns = size.ws_col, .lines = size.ws_row};
	}

	void show(const std::vector<std::string> &lines) const
	{
		env_.out << "\x1b[H";
		for (std::size_t i = 0; i < lines.size(); i++)
			env_.out << (i > 0 ? "\r\n" : "") << lines[i] << "\x1b[K";
		env_.out << "\x1b[J" << std::flush;
	}

	// Was q pressed?
	[[nodiscard]] bool is_quit() const
	{
		pollfd key{STDIN_FILENO, POLLIN, 0};
		char c = 0;

		while (keys_ && poll(&key, 1, 0) > 0 && read(STDIN_FILENO, &c, 1) == 1)
			if (c == 'q' || c == 'Q')
				return true;
		return false;
	}

private:
	Env &env_;
	termios before_{};
	bool keys_ = false;
};

// False: it is to end.
bool wait(const Stop &stop, const Terminal *terminal, std::uint64_t ns)
{
	while (ns > 0) {
		const auto part = terminal ? std::min(ns, slice_ns) : ns;

		if (stop.wait(part) || (terminal && terminal->is_quit()))
			return false;
		ns -= part;
	}
	return true;
}

Result<void> run(const Options &options, Env &env)
{
	auto source = Source::open(env, options.socket, options.own);
	if (!source)
		return std::unexpected(source.error());
	const Stop stop;
	const auto interval = static_cast<std::uint64_t>(std::llround(options.seconds * second_ns));
	const bool screen = env.out_is_terminal && !options.json;
	std::unique_ptr<Terminal> terminal;

	for (std::uint64_t frame = 0; options.count == 0 || frame < options.count; frame++) {
		// A look of our own has nothing to compare its first sample with; itmed has.
		if (frame > 0 || source->is_own()) {
			if (!wait(stop, terminal.get(), interval))
				return {};
		}
		const auto flow = source->flow();
		if (!flow)
			return std::unexpected(flow.error());
		if (screen && !terminal)
			terminal = std::make_unique<Terminal>(env);
		if (terminal) {
			terminal->show(top_lines(*flow, Terminal::screen()));
			continue;
		}
		if (options.json) {
			env.out << one_line(*flow) << std::endl;
		} else {
			for (const auto &line : top_lines(*flow, {.columns = 80, .lines = 0}))
				env.out << line << '\n';
			env.out << std::endl;
		}
		if (!env.out)
			return {}; // nobody reads any longer
	}
	if (terminal)
		wait(stop, terminal.get(), options.count > 0 ? interval : 0);
	return {};
}

} // namespace

void add_top(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command =
		app.add_subcommand("top", "tiers, links, stalls and positions, live; q ends it");

	command->add_option("-n,--count", options->count, "so many frames; else without an end")
		->check(CLI::Range{std::uint64_t{1}, std::uint64_t{1000000000}});
	command->add_option("-d,--delay", options->seconds, "seconds from frame to frame")
		->check(CLI::Range{least_seconds, most_seconds})
		->capture_default_str();
	command->add_flag("--own", options->own,
			  "do not ask itmed: read sysfs, and attach BPF programs where permitted");
	command->add_flag("--json", options->json, "print one JSON object a line for each frame");
	command->add_option("--socket", options->socket, "where itmed listens")
		->capture_default_str();
	command->callback([options, &action] {
		action = [options](Env &env) { return run(*options, env); };
	});
}

} // namespace itme
