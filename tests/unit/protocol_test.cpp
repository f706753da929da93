// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/server.hpp"
#include "lib/client.hpp"
#include "lib/protocol.hpp"

#include "tree.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

namespace {

using namespace itme;

std::string why(const std::string &line)
{
	const auto request = parse_request(line);

	return request ? "" : request.error().text;
}

// One server in this process, answered on a thread of its own until the end.
class Serving {
public:
	explicit Serving(const Path &path) : loop_(*Loop::make()), server_(loop_, handler)
	{
		EXPECT_TRUE(server_.listen(path, ""));
		thread_ = std::jthread{[this](const std::stop_token &stop) {
			while (!stop.stop_requested())
				EXPECT_TRUE(loop_.turn(monotonic_ns() + 10'000'000));
		}};
	}

	static std::optional<Result<Json>> handler(const Request &request, Server::Ticket)
	{
		if (request.kind == RequestKind::heat)
			return Json{{"much", std::string(4 << 20, 'x')}};
		return Json{{"asked", request_name(request.kind)}};
	}

private:
	Loop loop_;
	Server server_;
	std::jthread thread_; // ends first
};

// What comes back for bytes that no itmectl would send, until the other side closes.
std::string talk(const Path &path, const std::string &bytes)
{
	const Fd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	sockaddr_un address{};
	std::string answer;
	char buffer[4096];

	address.sun_family = AF_UNIX;
	path.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
	if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) < 0)
		return "no connection";
	(void)!send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
	shutdown(fd.get(), SHUT_WR);
	for (ssize_t n; (n = recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;)
		answer.append(buffer, static_cast<std::size_t>(n));
	return answer;
}

} // namespace

TEST(Protocol, RequestsRoundTrip)
{
	for (const auto kind :
	     {RequestKind::status, RequestKind::observe, RequestKind::stalls, RequestKind::prefetch,
	      RequestKind::heat, RequestKind::release, RequestKind::restore}) {
		const Request request{
			.kind = kind, .mount = "/mnt/a \"b\"", .region = "r", .since_ns = 7};
		auto line = request_line(request);

		ASSERT_TRUE(line.ends_with('\n'));
		line.pop_back();
		EXPECT_EQ(line.find('\n'), line.npos);
		const auto back = parse_request(line);
		ASSERT_TRUE(back) << back.error().text;
		EXPECT_EQ(back->kind, kind);
		EXPECT_EQ(back->mount, request.mount);
		EXPECT_EQ(back->region, "r");
		EXPECT_EQ(back->since_ns, 7);
	}
}

TEST(Protocol, RefusesWithASentence)
{
	EXPECT_NE(why("").find("one JSON object"), std::string::npos);
	EXPECT_NE(why("[]").find("one JSON object"), std::string::npos);
	EXPECT_NE(why("{\"version\": 1, \"request\": \"status\"} x"), "");
	EXPECT_NE(why("{}").find("\"version\" is missing"), std::string::npos);
	EXPECT_NE(why("{\"version\": 2, \"request\": \"status\"}").find("speaks version 1"),
		  std::string::npos);
	EXPECT_NE(why("{\"version\": 1}").find("one of status, observe"), std::string::npos);
	EXPECT_NE(why("{\"version\": 1, \"request\": 5}").find("must be text"), std::string::npos);
	EXPECT_NE(why("{\"version\": 1, \"request\": \"release\"}").find("absolute path"),
		  std::string::npos);
	EXPECT_NE(why("{\"version\": 1, \"request\": \"release\", \"mount\": \"/a\\u0000b\"}"), "");
	EXPECT_NE(why("{\"version\": 1, \"request\": \"observe\", \"since_ns\": -1}"), "");
	EXPECT_NE(why("{\"version\": 1, \"request\": \"observe\", \"since_ns\": 1e99}"), "");
	EXPECT_NE(why(std::string(8000, '[')), "");
	EXPECT_NE(why(std::string(9000, ' ')).find("may have"), std::string::npos);
	EXPECT_NE(why("{\"version\": 1, \"request\": \"\xff\"}"), "");
	// Members of a newer itmectl are no mistake.
	EXPECT_EQ(why("{\"version\": 1, \"request\": \"status\", \"new\": {}}"), "");
}

TEST(Protocol, AnswersTellErrorsWithTheirCode)
{
	auto line = error_line({Exit::unsupported, "no\nway"});

	line.pop_back();
	EXPECT_EQ(line.find('\n'), line.npos);
	const auto answer = parse_answer(line);
	ASSERT_FALSE(answer);
	EXPECT_EQ(answer.error().code, Exit::unsupported);
	EXPECT_EQ(answer.error().text, "itmed: no\\x0away");
	EXPECT_FALSE(parse_answer("{\"version\": 9, \"ok\": true}"));
	EXPECT_FALSE(parse_answer("nonsense"));
	EXPECT_EQ(parse_answer("{\"version\": 1, \"code\": 77}").error().code, Exit::failed);
}

TEST(Protocol, RootMayAllTheGroupMayRead)
{
	const Peer root{.pid = 1, .uid = 0, .groups = {0}};
	const Peer member{.pid = 2, .uid = 7, .groups = {7, 50}};
	const Peer other{.pid = 3, .uid = 8, .groups = {8}};

	EXPECT_EQ(refusal(root, RequestKind::release, 50), "");
	EXPECT_EQ(refusal(root, RequestKind::observe, std::nullopt), "");
	EXPECT_EQ(refusal(member, RequestKind::observe, 50), "");
	EXPECT_NE(refusal(member, RequestKind::release, 50), "");
	EXPECT_NE(refusal(member, RequestKind::restore, 50), "");
	EXPECT_NE(refusal(other, RequestKind::status, 50), "");
	EXPECT_NE(refusal(member, RequestKind::status, std::nullopt), "");
}

TEST(Protocol, NobodyListens)
{
	const Tree tree;
	const auto answer = ask_itmed(tree.root() / "none.sock", {});

	ASSERT_FALSE(answer);
	EXPECT_EQ(answer.error().code, Exit::unsupported);
	EXPECT_FALSE(ask_itmed(std::string(200, 'x'), {}));
}

TEST(Protocol, SurvivesWhateverIsSent)
{
	if (getuid() != 0)
		GTEST_SKIP() << "only root may ask a socket without a group";
	const Tree tree;
	const auto path = tree.root() / "itmed.sock";
	const Serving serving{path};
	const std::string good = "{\"version\":1,\"request\":\"status\"}\n";

	EXPECT_NE(talk(path, std::string(100000, 'x')).find("\"ok\":false"), std::string::npos);
	EXPECT_NE(talk(path, "\n").find("\"ok\":false"), std::string::npos);
	EXPECT_NE(talk(path, std::string("\0\xff\n", 3)).find("\"ok\":false"), std::string::npos);
	EXPECT_EQ(talk(path, ""), "");
	EXPECT_EQ(talk(path, "{\"version\":1"), ""); // an unfinished line is no request
	// Several at once are answered in turn; after nonsense nobody is heard.
	const auto two = talk(path, good + good);
	EXPECT_EQ(std::ranges::count(two, '\n'), 2) << two;
	EXPECT_EQ(std::ranges::count(talk(path, good + "x\n" + good), '\n'), 2);
	std::string many;
	for (int i = 0; i < 200; i++)
		many += good;
	EXPECT_EQ(std::ranges::count(talk(path, many), '\n'), 200);

	Request heat{.kind = RequestKind::heat, .mount = {}, .region = {}};
	const auto much = ask_itmed(path, heat);
	ASSERT_TRUE(much) << much.error().text;
	EXPECT_EQ(text_of(*much, "much").size(), 4 << 20);
	const auto status = ask_itmed(path, {});
	ASSERT_TRUE(status) << status.error().text;
	EXPECT_EQ(text_of(*status, "asked"), "status");
}

TEST(Protocol, TheSocketIsTakenOverFromTheDeadOnly)
{
	const Tree tree;
	const auto path = tree.root() / "itmed.sock";
	auto loop = Loop::make();

	{
		Server first{*loop, Serving::handler}, second{*loop, Serving::handler};

		ASSERT_TRUE(first.listen(path, ""));
		const auto refused = second.listen(path, "");
		ASSERT_FALSE(refused);
		EXPECT_NE(refused.error().text.find("another itmed"), std::string::npos);
	}
	EXPECT_FALSE(std::filesystem::exists(path));
	std::ofstream{path} << "left by one that died";
	Server third{*loop, Serving::handler};
	EXPECT_TRUE(third.listen(path, ""));
	EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0600});
}
