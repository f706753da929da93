// SPDX-License-Identifier: GPL-2.0-only
#include "lib/explain.hpp"

#include <cerrno>
#include <gtest/gtest.h>

using itme::AttachAttempt;
using itme::Exit;

namespace {

const AttachAttempt attempt{.store = "/data/m.gguf", .mount = "/mnt/itme", .name = "m.gguf"};

bool contains(const std::string &text, const std::string &part)
{
	return text.find(part) != text.npos;
}

} // namespace

TEST(Explain, EveryAttachErrorHasItsOwnSentence)
{
	// Those that uapi/itme.h promises, and a word that belongs to cause or fix.
	const std::pair<int, const char *> expected[] = {
		{EPERM, "CAP_SYS_ADMIN"},
		{EBADF, "opened for reading"},
		{EISDIR, "directory"},
		{EINVAL, "O_DIRECT"},
		{ENODATA, "empty"},
		{ENOSPC, "remount,dram="},
		{EROFS, "--setrw"},
		{EFBIG, "larger"},
		{ENAMETOOLONG, "too long"},
		{EEXIST, "--name"},
		{EBUSY, "itmectl list"},
		{ETXTBSY, "open for writing"},
		{ELOOP, "itme mount"},
		{E2BIG, "older"},
		{EOPNOTSUPP, "itmectl info"},
		{ENOTTY, "not on an itme mount"},
		{EINTR, "interrupted"},
		{EACCES, "may not be read"},
		{ETIMEDOUT, "did not answer"},
		{EIO, "could not be read"},
	};

	for (const auto &[err, part] : expected)
		EXPECT_TRUE(contains(itme::explain_attach(err, attempt).text, part))
			<< err << ": " << itme::explain_attach(err, attempt).text;
	EXPECT_TRUE(contains(itme::explain_attach(EXDEV, attempt).text, itme::errno_text(EXDEV)));
}

TEST(Explain, NamesTheWriters)
{
	auto busy = attempt;

	EXPECT_TRUE(contains(itme::explain_attach(ETXTBSY, busy).text, "fuser -v /data/m.gguf"));
	busy.writers = {{12, "wget"}};
	EXPECT_TRUE(contains(itme::explain_attach(ETXTBSY, busy).text, "by wget (12)"));
}

TEST(Explain, NamesTheUsersOfAMount)
{
	EXPECT_TRUE(
		contains(itme::explain_umount(EBUSY, "/mnt/itme", {{7, "sh"}}).text, "by sh (7)"));
	EXPECT_TRUE(
		contains(itme::explain_umount(EBUSY, "/mnt/itme", {}).text, "fuser -vm /mnt/itme"));
	EXPECT_TRUE(contains(itme::explain_umount(EPERM, "/mnt/itme", {}).text, "root"));
}

TEST(Explain, WhatIsNotHereIsUnsupported)
{
	EXPECT_EQ(itme::not_loaded().code, Exit::unsupported);
	EXPECT_EQ(itme::not_itme("/tmp").code, Exit::unsupported);
	EXPECT_EQ(itme::explain_attach(ENOTTY, attempt).code, Exit::unsupported);
	EXPECT_EQ(itme::explain_call(EOPNOTSUPP, "x", "/y").code, Exit::unsupported);
	EXPECT_EQ(itme::explain_attach(EBUSY, attempt).code, Exit::failed);
}

TEST(Explain, NamesOfRegions)
{
	for (const auto *good : {"m.gguf", "a b", "...", "ä", ".hidden"})
		EXPECT_EQ(itme::name_fault(good), "") << good;
	for (const auto *bad : {"", ".", "..", "a/b", "/", "a\nb", "a\x7f"})
		EXPECT_NE(itme::name_fault(bad), "") << bad;
	EXPECT_EQ(itme::name_fault(std::string(255, 'a')), "");
	EXPECT_NE(itme::name_fault(std::string(256, 'a')), "");
}
