//! The processors of audio language models as tokenizers of conversations.

use audsem_llm::Role;
use audsem_models::multimodal::processor::{AudioProcessor, ChatTurn};

use super::{ConversationTokens, SoundConversation, TokenizeConversation};

impl TokenizeConversation for AudioProcessor {
    fn tokenize(&self, conversation: SoundConversation<'_>) -> audsem_models::Result<ConversationTokens> {
        let SoundConversation { system, question, answer, samples } = conversation;
        let system = system.map(|text| ChatTurn::text(Role::System, text));
        let answered = answer.map(|text| ChatTurn::text(Role::Assistant, text));
        let turns: Vec<ChatTurn> =
            system.into_iter().chain([ChatTurn::question(1, question)]).chain(answered).collect();
        let chat = self.tokens(&turns, &[samples], answer.is_none())?;
        let end = chat.tokens.len();
        let last = chat.answers.last();
        Ok(ConversationTokens {
            answer: last.map_or(end..end, |answer| answer.tokens.clone()),
            line_break: last.map_or(0, |answer| answer.line_break),
            tokens: chat.tokens,
        })
    }
}
