// SPDX-License-Identifier: GPL-2.0-only
// What cannot be had is said, and what cannot be counted is counted as lost.
#include "world.hpp"

#include "lib/event_format.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <latch>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using itme::Event;
using itme::HintOp;
using itme::Probe;

TEST(Degrade, AFullRingIsCounted)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	for (std::uint64_t g = 0; g < 24; g++)
		world.touch(g);
	auto probe = Probe::attach({.ring_bytes = 4096});
	ASSERT_TRUE(probe) << probe.error().text;

	constexpr std::uint64_t rounds = 8, touches = rounds * 24;
	for (std::uint64_t round = 0; round < rounds; round++) {
		world.hint(HintOp::watch, 0, 24);
		for (std::uint64_t g = 0; g < 24; g++)
			world.touch(g);
	}
	std::uint64_t told = 0;
	const auto count = [&](const Event &event) { told += event.kind == Event::Kind::touch; };
	ASSERT_TRUE(probe->events(std::chrono::milliseconds(0), count));
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto lost = drops(*snapshot, "ring of events was full");
	EXPECT_GT(lost, 0);
	EXPECT_EQ(told + lost, touches);
	EXPECT_EQ(counts_of(*snapshot, world.id()).touches, touches);
	EXPECT_TRUE(says(snapshot->degradations, "positions may have been passed unseen"));

	world.hint(HintOp::watch, 0, 1); // and it goes on
	world.touch(0);
	told = 0;
	ASSERT_TRUE(probe->events(std::chrono::milliseconds(1000), count));
	EXPECT_EQ(told, 1);
}

TEST(Degrade, FullTablesAreCounted)
{
	World world({});
	ASSERT_TRUE(world.ready());
	const auto second = itme::open_path(world.second_region());
	ASSERT_TRUE(second);
	auto probe = Probe::attach({.max_regions = 1, .max_threads = 1, .max_granules = 4});
	ASSERT_TRUE(probe) << probe.error().text;

	// Two that are alive at a time: one of them has no room.
	std::latch touched(1), counted(1);
	std::jthread other([&] {
		for (std::uint64_t g = 0; g < 4; g++)
			world.touch(g);
		touched.count_down();
		counted.wait();
	});
	touched.wait();
	for (std::uint64_t g = 4; g < 8; g++)
		world.touch(g);
	char byte = 0;
	EXPECT_EQ(1, pread(second->get(), &byte, 1, 0));
	const auto snapshot = probe->snapshot();
	counted.count_down();
	ASSERT_TRUE(snapshot);
	EXPECT_EQ(snapshot->regions.size(), 1);
	EXPECT_GT(drops(*snapshot, "table of regions was full"), 0);
	EXPECT_EQ(drops(*snapshot, "table of threads was full"), 4); // waits of this thread here
	EXPECT_GT(drops(*snapshot, "table of granules was full"), 0);
	EXPECT_EQ(counts_of(*snapshot, world.id()).faults, 8); // by region nothing is lost
	EXPECT_EQ(probe->granules().value().size(), 4);
	EXPECT_TRUE(says(snapshot->degradations, "no heat"));
}

TEST(Degrade, WithoutHeat)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({.heat = false});
	ASSERT_TRUE(probe) << probe.error().text;
	world.hint(HintOp::prefetch, 0);
	world.wait(0);
	world.touch(0);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	EXPECT_TRUE(says(snapshot->degradations, "nothing is counted by granule"));
	EXPECT_EQ(counts_of(*snapshot, world.id()).prefetch[0].useful, granule_bytes);
	EXPECT_TRUE(probe->granules().value().empty());
}

// As an ordinary user: says what it takes, and what is lost.
TEST(Degrade, WithoutTheCapability)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	int answer[2];
	ASSERT_EQ(0, pipe(answer));
	const pid_t child = fork();
	if (child == 0) {
		constexpr uid_t nobody = 65534;
		std::string text = "no user";

		if (setresgid(nobody, nobody, nobody) == 0 &&
		    setresuid(nobody, nobody, nobody) == 0) {
			const auto probe = Probe::attach({});
			text = probe ? "attached" : probe.error().text;
		}
		_exit(write(answer[1], text.data(), text.size()) < 0);
	}
	close(answer[1]);
	char text[512] = "";
	EXPECT_GT(read(answer[0], text, sizeof(text) - 1), 0);
	close(answer[0]);
	waitpid(child, nullptr, 0);
	EXPECT_TRUE(std::string(text).find("CAP_BPF") != std::string::npos) << text;
	EXPECT_TRUE(std::string(text).find("are not seen") != std::string::npos) << text;
}

// Below another root there is only the event that faults are told by.
TEST(Degrade, WithoutATracepoint)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	const auto root = std::filesystem::temp_directory_path() / "telemetry-root";
	const auto event = root / "sys/kernel/tracing/events/itme/fault";
	std::filesystem::create_directories(event);
	const auto format = itme::read_event_format("/", "fault");
	ASSERT_TRUE(format);
	std::ofstream(event / "format") << *format;
	std::filesystem::create_directories(event.parent_path() / "fill");
	std::ofstream(event.parent_path() / "fill/format") << "field:u32 dev; offset:8; size:8;\n";

	auto probe = Probe::attach({.root = root, .classic = true});
	ASSERT_TRUE(probe) << probe.error().text;
	world.touch(0);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	EXPECT_EQ(counts_of(*snapshot, world.id()).faults, 1);
	EXPECT_TRUE(says(snapshot->degradations, "itme:evict is not in this module"));
	EXPECT_TRUE(says(snapshot->degradations, "wasted prefetches are not seen"));
	EXPECT_TRUE(says(snapshot->degradations, "itme:fill has another layout"));
	EXPECT_GT(drops(*snapshot, "size of a granule was not known"), 0);

	std::filesystem::remove_all(root / "sys");
	const auto none = Probe::attach({.root = root, .classic = true});
	ASSERT_FALSE(none);
	EXPECT_EQ(none.error().code, itme::Exit::unsupported);
	std::filesystem::remove_all(root);
}

namespace {

void expect_classic_events_to_do(const char *why)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	EXPECT_EQ(probe->fallback_reason(), why);
	EXPECT_TRUE(says(probe->degradations(),
			 "using the classic trace events, which are slower, because " +
				 std::string(why)));
	EXPECT_TRUE(says(probe->degradations(), "not filled since are not counted"));
	for (std::uint64_t g = 0; g < 5; g++)
		world.touch(g);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	EXPECT_EQ(counts_of(*snapshot, world.id()).stalls.of(itme::StallCause::miss).count, 5);
	EXPECT_EQ(counts_of(*snapshot, world.id()).name, "model");
	EXPECT_EQ(counts_of(*snapshot, world.id()).granule_bytes, granule_bytes);
}

} // namespace

// Where libbpf looks for the kernel's types, in a mount name space of this test's own.
TEST(Degrade, WithoutTypesOfTheKernel)
{
	utsname kernel{};
	std::vector<std::string> hidden;
	ASSERT_EQ(0, uname(&kernel));
	const std::string release = kernel.release;
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
	ASSERT_EQ(0, mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr));
	hidden.emplace_back("/sys/kernel/btf");
	for (const auto &file :
	     {"/boot/vmlinux-" + release, "/lib/modules/" + release + "/vmlinux-" + release,
	      "/lib/modules/" + release + "/build/vmlinux",
	      "/usr/lib/modules/" + release + "/kernel/vmlinux",
	      "/usr/lib/debug/boot/vmlinux-" + release,
	      "/usr/lib/debug/boot/vmlinux-" + release + ".debug",
	      "/usr/lib/debug/lib/modules/" + release + "/vmlinux"}) {
		if (!std::filesystem::exists(file))
			continue;
		ASSERT_EQ(0, mount("/dev/null", file.c_str(), nullptr, MS_BIND, nullptr)) << file;
		hidden.push_back(file);
	}
	expect_classic_events_to_do("the kernel has no type information (BTF)");
	for (const auto &path : hidden)
		EXPECT_EQ(0, umount(path.c_str())) << path;
}

// Run by tests/kselftest/telemetry_noevent_test.sh, with a module whose types lack that of
// itme:evict.
TEST(NoEvent, TheOthersDo)
{
	const World world({});
	ASSERT_TRUE(world.ready());
	auto probe = Probe::attach({});
	ASSERT_TRUE(probe) << probe.error().text;
	EXPECT_EQ(probe->fallback_reason(), "");
	EXPECT_TRUE(says(probe->degradations(),
			 "itme:evict is not in this module: what was dropped, and wasted "
			 "prefetches are not seen"));
	world.hint(HintOp::prefetch, 0);
	world.wait(0);
	world.hint(HintOp::release, 0);
	world.touch(1);
	const auto snapshot = probe->snapshot();
	ASSERT_TRUE(snapshot);
	const auto region = counts_of(*snapshot, world.id());
	EXPECT_EQ(region.stalls.of(itme::StallCause::miss).count, 1);
	EXPECT_EQ(region.prefetch[1].fetched, granule_bytes);
	EXPECT_EQ(region.prefetch[1].wasted, 0); // although it was
}

// Run by tests/kselftest/telemetry_nobtf_test.sh, with a module that has none.
TEST(NoBtf, TheClassicEventsDo)
{
	expect_classic_events_to_do("the module has no type information (BTF)");
}
