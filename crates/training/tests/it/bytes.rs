//! A tokenizer whose tokens are bytes, with the turns of ChatML: for tests of what does not depend on a model.

use audsem_training::data::{ConversationTokens, SoundConversation, TokenizeConversation};

/// The token that stands for 40 ms of sound.
pub(crate) const AUDIO: u32 = 256;

/// Ends a turn.
const END: &str = "<|im_end|>\n";

pub(crate) struct ByteTokenizer;

impl TokenizeConversation for ByteTokenizer {
    fn tokenize(&self, conversation: SoundConversation<'_>) -> audsem_models::Result<ConversationTokens> {
        let SoundConversation { system, question, answer, samples } = conversation;
        let mut tokens: Vec<u32> = Vec::new();
        let mut write = |text: &str| tokens.extend(text.bytes().map(u32::from));
        write(&system.map(|system| format!("system\n{system}{END}")).unwrap_or_default());
        write("user\n");
        tokens.extend(std::iter::repeat_n(AUDIO, samples.div_ceil(160).div_ceil(2) / 2));
        let mut write = |text: &str| tokens.extend(text.bytes().map(u32::from));
        write(&format!("{question}{END}assistant\n"));
        let begin = tokens.len();
        if let Some(answer) = answer {
            tokens.extend(format!("{answer}{END}").bytes().map(u32::from));
        }
        Ok(ConversationTokens { answer: begin..tokens.len(), line_break: usize::from(answer.is_some()), tokens })
    }
}

/// The text of tokens; a sound is one `*`.
pub(crate) fn decode(tokens: &[u32]) -> String {
    let mut tokens = tokens.to_vec();
    tokens.dedup_by(|a, b| *a == AUDIO && *b == AUDIO);
    tokens.into_iter().map(|token| char::from(u8::try_from(token).unwrap_or(b'*'))).collect()
}
