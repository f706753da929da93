// SPDX-License-Identifier: GPL-2.0-only
#include "world.hpp"

#include "lib/clock.hpp"
#include "lib/region_names.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr auto mapper = "itme-telemetry";

std::string output_of(const std::string &command)
{
	std::string text;
	char line[256];
	FILE *pipe = popen(command.c_str(), "r");

	while (pipe && fgets(line, sizeof(line), pipe))
		text += line;
	if (pipe)
		pclose(pipe);
	while (text.ends_with('\n'))
		text.pop_back();
	return text;
}

} // namespace

bool shell(const std::string &command)
{
	return std::system(command.c_str()) == 0; // NOLINT: of the test's own making
}

std::optional<std::string> cxl_node()
{
	const char *node = std::getenv("ITME_CXL_NODE");

	return node && *node ? std::optional<std::string>(node) : std::nullopt;
}

World::World(const Options &options) : bytes_(options.granules * granule_bytes)
{
	const char *folder = std::getenv("ITME_STORE_DIR");

	store_ = std::string(folder ? folder : "/tmp") + "/telemetry-store";
	directory_ =
		std::filesystem::temp_directory_path() / ("telemetry-" + std::to_string(getpid()));
	std::filesystem::create_directories(directory_);
	path_ = directory_ + "/model";
	EXPECT_EQ(0, unshare(CLONE_NEWNS));
	EXPECT_EQ(0, mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
	EXPECT_TRUE(shell("truncate -s 0 " + store_ + " && fallocate -l " + std::to_string(bytes_) +
			  " " + store_ + " && dd if=/dev/urandom of=" + store_ +
			  " bs=1M count=4 conv=notrunc status=none"));
	auto store = store_;
	if (options.delay_ms > 0) {
		loop_ = output_of("losetup --show --direct-io=on -f " + store_);
		delayed_ = shell("modprobe dm-delay; dmsetup create " + std::string(mapper) +
				 " --table '0 " + std::to_string(bytes_ / 512) + " delay " + loop_ +
				 " 0 " + std::to_string(options.delay_ms) +
				 "' && dmsetup mknodes " + mapper);
		EXPECT_TRUE(delayed_);
		store = std::string("/dev/mapper/") + mapper;
	}
	mounted_ = mount("none", directory_.c_str(), "itme", 0, options.mount.c_str()) == 0;
	EXPECT_TRUE(mounted_) << options.mount << ": " << itme::errno_text(errno);
	auto root = itme::open_path(directory_);
	const auto opened = itme::open_path(store);
	EXPECT_TRUE(root && opened) << store;
	if (!mounted_ || !root || !opened)
		return;
	root_ = std::move(*root);
	const auto attached = itme::attach(root_, *opened, {.name = "model"});
	EXPECT_TRUE(attached) << itme::errno_text(attached ? 0 : attached.error());
	auto region = itme::open_path(path_);
	if (!attached || !region)
		return;
	region_ = std::move(*region);
	struct stat status{};
	EXPECT_EQ(0, fstat(region_.get(), &status));
	id_ = {itme::kernel_dev(status.st_dev), status.st_ino};
	void *address = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, region_.get(), 0);
	EXPECT_NE(MAP_FAILED, address);
	if (address != MAP_FAILED)
		address_ = static_cast<char *>(address);
}

World::~World()
{
	if (address_)
		munmap(address_, bytes_);
	region_.reset();
	root_.reset();
	if (mounted_) {
		EXPECT_EQ(0, umount(directory_.c_str()));
	}
	if (delayed_) {
		EXPECT_TRUE(shell(std::string("dmsetup remove ") + mapper));
	}
	if (!loop_.empty()) {
		EXPECT_TRUE(shell("losetup -d " + loop_));
	}
	std::error_code ec;
	std::filesystem::remove_all(directory_, ec);
	std::filesystem::remove(store_, ec);
	std::filesystem::remove(store_ + "-2", ec);
}

std::string World::second_region()
{
	EXPECT_TRUE(shell("fallocate -l " + std::to_string(bytes_) + " " + store_ + "-2"));
	const auto store = itme::open_path(store_ + "-2");
	EXPECT_TRUE(store && itme::attach(root_, *store, {.name = "second"}));
	return directory_ + "/second";
}

std::uint64_t World::touch(std::uint64_t granule) const
{
	const auto start = itme::monotonic_ns();

	(void)*static_cast<const volatile char *>(at(granule));
	return itme::monotonic_ns() - start;
}

void World::unmap_pages() const
{
	EXPECT_EQ(0, madvise(address_, bytes_, MADV_DONTNEED));
}

void World::hint(itme::HintOp op, std::uint64_t granule, std::uint64_t count,
		 itme::HintClass hint_class, itme::Tier tier) const
{
	const auto done = itme::carry_out(region_, {.op = op,
						    .hint_class = hint_class,
						    .tier = tier,
						    .offset = granule * granule_bytes,
						    .length = count * granule_bytes});
	EXPECT_TRUE(done && done->error == 0);
}

void World::wait(std::uint64_t granule, std::uint64_t count) const
{
	constexpr std::uint64_t long_ns = 30000000000;

	EXPECT_TRUE(
		itme::wait_range(region_, granule * granule_bytes, count * granule_bytes, long_ns));
}

std::uint64_t World::counter(const std::string &name) const
{
	const auto counters = itme::read_counters(region_);

	if (counters)
		for (const auto &[known, value] : *counters)
			if (known == name)
				return value;
	ADD_FAILURE() << "no counter " << name;
	return 0;
}

itme::RegionCounts counts_of(const itme::Snapshot &snapshot, itme::RegionId id)
{
	const auto found = std::ranges::find(snapshot.regions, id, &itme::RegionCounts::id);

	return found == snapshot.regions.end() ? itme::RegionCounts{} : *found;
}

bool says(const std::vector<std::string> &sentences, const std::string &text)
{
	return std::ranges::any_of(sentences,
				   [&](const std::string &s) { return s.find(text) != s.npos; });
}

std::uint64_t drops(const itme::Snapshot &snapshot, const std::string &text)
{
	std::uint64_t sum = 0;

	for (const auto &drop : snapshot.drops)
		if (drop.reason.find(text) != drop.reason.npos)
			sum += drop.count;
	return sum;
}
