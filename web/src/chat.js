/* chat.js: the chat page. */
import "./chat.css";
document.getElementById("app").textContent = "r1";
